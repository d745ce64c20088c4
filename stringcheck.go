package bellhop

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"
)

// ValidStrings tells whether the strings in v can be encoded without loss: each must be valid UTF-8 and hold no
// NUL. It looks at v before encoding, because encoding/json replaces invalid bytes by U+FFFD and says nothing.
//
// It looks where encoding/json looks: through pointers, interfaces, slices, arrays, maps with their keys, and
// the fields of structs; not at unexported fields, fields tagged json:"-", or []byte, which becomes base64.
// Values that encode themselves (json.Marshaler, encoding.TextMarshaler) are left to ValidateJSON, which sees
// their output; a MarshalText that returns invalid UTF-8 is not found, since encoding/json has replaced it by
// then. A field that encoding/json hides behind another of the same name is looked at too.
//
// The error is a *JSONError with a path of Go names: at .User.Name: byte 0xff at index 3 is not valid UTF-8.
// A value nested deeper than 1,000 levels, or a cycle of pointers, is an error as well. A type without strings
// costs nothing but the look-up of its plan.
func ValidStrings(v any) error {
	if f := walkAny(v, 0, 0); f != nil {
		err := f.jsonError("")
		if err.Path == "" {
			err.Path = "."
		}
		return err
	}
	return nil
}

func isText(s string) bool { return strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) }

func checkString(s string) *fault {
	if isText(s) {
		return nil
	}
	if i := strings.IndexByte(s, 0); i >= 0 {
		return goFault(fmt.Sprintf("NUL at index %d is not allowed in a string: databases cannot store it", i))
	}
	i := validPrefix(s)
	return goFault(fmt.Sprintf("byte 0x%02x at index %d is not valid UTF-8", s[i], i))
}

// validPrefix returns where the first byte stands that is not UTF-8.
func validPrefix(s string) int {
	for i, r := range s {
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			return i
		}
	}
	return len(s)
}

func goFault(reason string) *fault { return &fault{offset: -1, reason: reason} }

func checkKey(key string) *fault {
	f := checkString(key)
	if f != nil {
		f.reason = "map key " + quoteCut(key, 64) + ": " + f.reason
	}
	return f
}

// walkAny looks at the most usual dynamic types without reflection. depth counts the arrays, objects and structs
// around v, hops the pointers since the last of these.
func walkAny(v any, depth, hops int) *fault {
	switch v := v.(type) {
	case nil, bool, int, int64, float64, []byte:
		return nil
	case string:
		return checkString(v)
	case []string:
		for i, s := range v {
			if f := checkString(s); f != nil {
				return f.in(indexStep(i))
			}
		}
		return nil
	case map[string]string:
		for key, s := range v {
			if f := checkKey(key); f != nil {
				return f
			}
			if f := checkString(s); f != nil {
				return f.in(keyStep(key))
			}
		}
		return nil
	case []any:
		if depth++; depth > maxJSONDepth {
			return goFault(tooDeepInGo)
		}
		for i, item := range v {
			if f := walkAny(item, depth, 0); f != nil {
				return f.in(indexStep(i))
			}
		}
		return nil
	case map[string]any:
		if depth++; depth > maxJSONDepth {
			return goFault(tooDeepInGo)
		}
		for key, item := range v {
			if f := checkKey(key); f != nil {
				return f
			}
			if f := walkAny(item, depth, 0); f != nil {
				return f.in(keyStep(key))
			}
		}
		return nil
	}
	value := reflect.ValueOf(v)
	return planFor(value.Type()).walk(value, depth, hops)
}

const tooDeepInGo = "nested deeper than 1000 levels, or a cycle of pointers"

// stringPlan says how to find the strings in values of one type. The plans of recursive types are a cyclic graph.
type stringPlan struct {
	kind   planKind
	live   bool        // a string may be in it; false means planNothing once the plan is complete
	byAddr bool        // only a pointer to the type encodes itself, so an addressable value does
	inline bool        // an embedded struct, whose fields stand in the object around it
	keys   bool        // of maps: the keys are strings
	elem   *stringPlan // of pointers, lists and maps
	fields []planField // of structs, those only that may hold strings
}

type planField struct {
	index int
	name  string
	plan  *stringPlan
	text  bool // a string: if it is good, no plan need be walked
}

type planKind uint8

const (
	planNothing planKind = iota // no string can be in it
	planString
	planInterface
	planPointer
	planList
	planMap
	planKnownMap // a map type that walkAny knows
	planStruct
)

func (p *stringPlan) walk(v reflect.Value, depth, hops int) *fault {
	if p.byAddr && v.CanAddr() {
		return nil
	}
	switch p.kind {
	case planString:
		return checkString(v.String())
	case planInterface, planKnownMap:
		return walkAny(v.Interface(), depth, hops)
	case planPointer:
		if v.IsNil() {
			return nil
		}
		if hops++; hops > maxJSONDepth {
			return goFault(tooDeepInGo)
		}
		return p.elem.walk(v.Elem(), depth, hops)
	case planNothing:
		return nil
	}
	if !p.inline {
		depth, hops = depth+1, 0
	}
	if depth > maxJSONDepth {
		return goFault(tooDeepInGo)
	}
	switch p.kind {
	case planStruct:
		for i := range p.fields {
			field := &p.fields[i]
			inner := v.Field(field.index)
			if field.text && isText(inner.String()) {
				continue
			}
			if f := field.plan.walk(inner, depth, hops); f != nil {
				return f.in("." + field.name)
			}
		}
	case planList:
		for i := range v.Len() {
			if f := p.elem.walk(v.Index(i), depth, hops); f != nil {
				return f.in(indexStep(i))
			}
		}
	case planMap:
		return p.walkMap(v, depth, hops)
	}
	return nil
}

func (p *stringPlan) walkMap(v reflect.Value, depth, hops int) *fault {
	for entries := v.MapRange(); entries.Next(); {
		key := entries.Key()
		if p.keys {
			if f := checkKey(key.String()); f != nil {
				return f
			}
		}
		if p.elem.kind == planNothing {
			continue
		}
		if f := p.elem.walk(entries.Value(), depth, hops); f != nil {
			if p.keys {
				return f.in(keyStep(key.String()))
			}
			return f.in(fmt.Sprintf("[%v]", key))
		}
	}
	return nil
}

// stringPlans holds the plan of each type seen so far, by reflect.Type.
var stringPlans sync.Map

func planFor(t reflect.Type) *stringPlan {
	if p, ok := stringPlans.Load(t); ok {
		return p.(*stringPlan)
	}
	b := planBuilder{}
	p := b.plan(t, false)
	b.prune()
	for key, p := range b {
		if !key.inline {
			stringPlans.LoadOrStore(key.t, p)
		}
	}
	return p
}

// planBuilder holds the plans under construction. Each is entered before its parts are planned, so that a
// recursive type finds itself; none is published before all are complete.
type planBuilder map[planKey]*stringPlan

type planKey struct {
	t      reflect.Type
	inline bool
}

var (
	jsonMarshalerType = reflect.TypeFor[json.Marshaler]()
	textMarshalerType = reflect.TypeFor[encoding.TextMarshaler]()
)

func encodesItself(t reflect.Type) bool {
	return t.Implements(jsonMarshalerType) || t.Implements(textMarshalerType)
}

func (b planBuilder) plan(t reflect.Type, inline bool) *stringPlan {
	key := planKey{t, inline}
	if p, ok := b[key]; ok {
		return p
	}
	if p, ok := stringPlans.Load(t); ok && !inline {
		return p.(*stringPlan)
	}
	p := &stringPlan{inline: inline && t.Kind() == reflect.Struct}
	b[key] = p
	if !inline { // encoding/json takes an embedded struct apart even if it encodes itself
		if encodesItself(t) {
			return p
		}
		p.byAddr = t.Kind() != reflect.Pointer && encodesItself(reflect.PointerTo(t))
	}
	switch t.Kind() {
	case reflect.String:
		p.kind = planString
	case reflect.Interface:
		p.kind = planInterface
	case reflect.Pointer:
		p.kind, p.elem = planPointer, b.plan(t.Elem(), inline)
	case reflect.Slice, reflect.Array:
		p.kind, p.elem = planList, b.plan(t.Elem(), false)
	case reflect.Map:
		p.kind, p.elem = planMap, b.plan(t.Elem(), false)
		p.keys = t.Key().Kind() == reflect.String
		if t == reflect.TypeFor[map[string]string]() || t == reflect.TypeFor[map[string]any]() {
			p.kind = planKnownMap
		}
	case reflect.Struct:
		p.kind, p.fields = planStruct, b.structFields(t)
	}
	return p
}

// structFields plans the fields that encoding/json encodes.
func (b planBuilder) structFields(t reflect.Type) (fields []planField) {
	for i := range t.NumField() {
		field := t.Field(i)
		tag := field.Tag.Get("json")
		name, _, _ := strings.Cut(tag, ",")
		if tag == "-" {
			continue
		}
		bare := field.Type
		if bare.Kind() == reflect.Pointer && bare.Name() == "" {
			bare = bare.Elem()
		}
		embeddedStruct := field.Anonymous && bare.Kind() == reflect.Struct
		if !field.IsExported() && !embeddedStruct {
			continue
		}
		plan := b.plan(field.Type, embeddedStruct && name == "")
		fields = append(fields, planField{i, field.Name, plan, plan.kind == planString})
	}
	return fields
}

// prune finds the plans from which no string can be reached, and makes them cost nothing.
func (b planBuilder) prune() {
	for changed := true; changed; {
		changed = false
		for _, p := range b {
			if !p.live && p.reachesString() {
				p.live, changed = true, true
			}
		}
	}
	for _, p := range b {
		p.fields = slices.DeleteFunc(p.fields, func(f planField) bool { return !f.plan.live })
		if !p.live {
			p.kind = planNothing
		}
	}
}

// reachesString tells whether the type may hold a string itself, or has a part that is known to.
func (p *stringPlan) reachesString() bool {
	switch p.kind {
	case planString, planInterface, planKnownMap:
		return true
	case planPointer, planList:
		return p.elem.live
	case planMap:
		return p.keys || p.elem.live
	case planStruct:
		return slices.ContainsFunc(p.fields, func(f planField) bool { return f.plan.live })
	}
	return false
}
