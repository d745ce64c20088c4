package demo

import (
	"fmt"
	"slices"
)

// Form says which effects of a request run inside it and which are handed off.
type Form struct {
	// Name is short and fits a URL: inline, mail, list or charge.
	Name string
	// Title says in a table what the form is.
	Title string
	// Note says what changes for the customer.
	Note string
	// Handed lists the effects that are handed off; all others run inside the request. Nil: everything inline.
	Handed []string
}

// Hands reports whether the form hands off the named effect.
func (f Form) Hands(effect string) bool { return slices.Contains(f.Handed, effect) }

// Inline returns the effects among those named that run inside the request.
func (f Form) Inline(effects ...string) []string {
	return slices.DeleteFunc(slices.Clone(effects), f.Hands)
}

// Later returns the effects among those named that are handed off.
func (f Form) Later(effects ...string) []string {
	return slices.DeleteFunc(slices.Clone(effects), func(effect string) bool { return !f.Hands(effect) })
}

// check refuses a form that cannot work: unknown effects, or effects that would have to run before the charge that they follow.
func (f Form) check() error {
	for _, effect := range f.Handed {
		if !slices.Contains(AllEffects(), effect) {
			return fmt.Errorf("demo: form %q hands off %q, which is no effect: use one of %v", f.Name, effect, AllEffects())
		}
	}
	if f.Hands(EffectCharge) && len(f.Inline(AllEffects()...)) > 0 {
		return fmt.Errorf("demo: form %q hands off the charge but keeps %v inline: what follows the charge must be handed off too",
			f.Name, f.Inline(AllEffects()...))
	}
	return nil
}

// Forms returns the four forms of the checkout. They are separate decisions: each hands off more than the one before, and the
// last two change what a customer can see.
func Forms() []Form {
	return []Form{
		{
			Name: "inline", Title: "everything inline",
			Note: "five services, one after the other",
		},
		{
			Name: "mail", Title: "mail, chat, analytics as jobs",
			Note:   "nothing visible changes",
			Handed: []string{EffectMail, EffectChat, EffectTrack},
		},
		{
			Name: "list", Title: "the mailing list too",
			Note:   "its failure no longer reaches the customer",
			Handed: []string{EffectMail, EffectSubscribe, EffectChat, EffectTrack},
		},
		{
			Name: "charge", Title: "the charge too",
			Note:   "202, and a page that turns to paid by itself",
			Handed: AllEffects(),
		},
	}
}
