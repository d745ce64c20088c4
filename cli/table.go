package cli

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/width"
)

// column is a column of a table.
type column struct {
	title string
	right bool // numbers
	// least is the width down to which the column may be cut on a narrow terminal; 0: it is never cut.
	least int
	// drop says that the column may be left out where cutting is not enough; the highest goes first. 0: it stays.
	drop int
}

// cell is a text and its colour.
type cell struct {
	text  string
	color string
}

// table prints rows in aligned columns. Texts are cleaned; on a terminal, they are cut to fit its width.
type table struct {
	columns []column
	rows    [][]cell
}

func (t *table) add(cells ...cell) {
	for i := range cells {
		cells[i].text = clean(cells[i].text)
	}
	t.rows = append(t.rows, cells)
}

const gap = 2 // columns of space between two columns

// print writes the table. Empty columns are left out.
func (t *table) print(out stream) {
	widths := t.widths()
	if out.width > 0 {
		t.fit(widths, out.width)
	}
	header := make([]cell, len(t.columns))
	for i, c := range t.columns {
		header[i] = cell{c.title, dim}
	}
	t.line(out, widths, header)
	for _, row := range t.rows {
		t.line(out, widths, row)
	}
}

// widths returns how wide each column wants to be: 0 if it is empty.
func (t *table) widths() []int {
	widths := make([]int, len(t.columns))
	for _, row := range t.rows {
		for i, c := range row {
			widths[i] = max(widths[i], textWidth(c.text))
		}
	}
	for i, w := range widths {
		if w > 0 {
			widths[i] = max(w, textWidth(t.columns[i].title))
		}
	}
	return widths
}

// fit makes columns narrower until a line fits, those that have most to spare first. If that is not enough, a column is left
// out, and the others get their room back.
func (t *table) fit(widths []int, limit int) {
	for {
		fitting := slices.Clone(widths)
		over := -gap - limit
		for _, w := range widths {
			if w > 0 {
				over += w + gap
			}
		}
		for ; over > 0; over-- {
			most := t.pick(func(i int, c column) int {
				if c.least == 0 {
					return 0
				}
				return fitting[i] - c.least
			})
			if most < 0 {
				break
			}
			fitting[most]--
		}
		worst := t.pick(func(i int, c column) int {
			if widths[i] == 0 {
				return 0
			}
			return c.drop
		})
		if over <= 0 || worst < 0 {
			copy(widths, fitting)
			return
		}
		widths[worst] = 0
	}
}

// pick returns the column with the highest score above 0, the last of several; -1 if there is none.
func (t *table) pick(score func(i int, c column) int) int {
	best, at := 0, -1
	for i, c := range t.columns {
		if s := score(i, c); s > 0 && s >= best {
			best, at = s, i
		}
	}
	return at
}

func (t *table) line(out stream, widths []int, cells []cell) {
	var b strings.Builder
	pad := 0 // spaces owed, so that none stand at the end of the line
	first := true
	for i, c := range cells {
		if widths[i] == 0 {
			continue
		}
		if !first {
			pad += gap
		}
		first = false
		text := cutText(c.text, widths[i])
		space := widths[i] - textWidth(text)
		if t.columns[i].right {
			pad, space = pad+space, 0
		}
		if text != "" {
			b.WriteString(strings.Repeat(" ", pad) + out.paint(c.color, text))
			pad = 0
		}
		pad += space
	}
	fmt.Fprintln(out, b.String())
}

// textWidth returns how many columns a terminal needs for a text.
func textWidth(s string) int {
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	}
	switch width.LookupRune(r).Kind() {
	case width.EastAsianWide, width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// cutText shortens a text to at most n columns; an ellipsis marks the cut.
func cutText(s string, n int) string {
	if textWidth(s) <= n {
		return s
	}
	used := 1
	for i, r := range s {
		if used += runeWidth(r); used > n {
			return strings.TrimRight(s[:i], " ") + "…"
		}
	}
	return s
}
