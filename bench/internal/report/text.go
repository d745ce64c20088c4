package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// Write writes everything for a terminal.
func (r *Report) Write(w io.Writer) {
	for _, line := range r.Machine {
		fmt.Fprintln(w, line)
	}
	for _, line := range r.Method {
		fmt.Fprintln(w, line)
	}
	last := ""
	for _, g := range r.Groups {
		if g.Store != last {
			r.writeStore(w, g.Store)
			last = g.Store
		}
		fmt.Fprintf(w, "\n%s: %s\n", StoreTitle(g.Store), g.Title)
		r.Table(g).write(w)
	}
	if t := r.TargetTable(); len(t.Rows) > 0 {
		fmt.Fprintf(w, "\nTargets\n")
		t.write(w)
	}
	if t := r.WaitTable(); len(t.Rows) > 0 {
		fmt.Fprintf(w, "\nTargets: from enqueue to start, idle\n")
		t.write(w)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, "note:", note)
	}
}

// writeStore writes a store's settings and those of its contenders.
func (r *Report) writeStore(w io.Writer, store string) {
	fmt.Fprintf(w, "\n== %s ==\n", StoreTitle(store))
	for _, line := range r.Stores[store] {
		fmt.Fprintln(w, line)
	}
	for _, c := range r.Contenders {
		if c.Store == store {
			fmt.Fprintf(w, "%s %s: %s\n", c.Title, c.Version, c.Settings)
		}
	}
}

// write writes the table with aligned columns, the first to the left.
func (t Table) write(w io.Writer) {
	widths := make([]int, len(t.Head))
	rows := append([][]string{t.Head}, t.Rows...)
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for n, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				line.WriteString("  " + cell + pad)
			} else {
				line.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line.String(), " "))
		if n == 0 {
			total := 0
			for _, width := range widths {
				total += width + 2
			}
			fmt.Fprintln(w, "  "+strings.Repeat("─", total-2))
		}
	}
}

// markdown returns the table in Markdown.
func (t Table) markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		b.WriteString("| " + strings.Join(cells, " | ") + " |\n")
	}
	line(t.Head)
	rule := make([]string, len(t.Head))
	for i := range rule {
		rule[i] = "--:"
	}
	rule[0] = "---"
	line(rule)
	for _, row := range t.Rows {
		line(row)
	}
	return b.String()
}
