package config

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"sigs.k8s.io/yaml"

	"github.com/pawl-dev/pawl/internal/upgrade"
)

// decode reads YAML into a definition. A field that is not known is an error: a misspelt setting must not be ignored silently.
func decode(text []byte, c *Cluster) error {
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return notYAML(err)
	}
	err = json.Unmarshal(asJSON, c, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(true), json.WithUnmarshalers(words))
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		return misfit(e)
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok { // of YAML that was read: once as fieldName, once as fieldname
		return fmt.Errorf("%sis there twice, wanted once", place(e.JSONPointer))
	}
	return err
}

// ofLine is what the YAML library says of a line. All else that it says may quote values, and those may be secrets.
var ofLine = regexp.MustCompile(`line \d+: .*`)

func notYAML(err error) error {
	said := cmp.Or(ofLine.FindString(err.Error()), "it is no YAML, wanted a mapping of fields")
	return errors.New(strings.Replace(said, "already set in map", "is there twice, wanted once", 1))
}

// words lets 10 and true stand where a text is wanted, without quotes: a version, a name, a word of a command.
var words = json.UnmarshalFromFunc(func(d *jsontext.Decoder, into any) error {
	_, isText := into.(encoding.TextUnmarshaler)
	isText = isText || reflect.TypeOf(into).Elem().Kind() == reflect.String
	if kind := d.PeekKind(); !isText || kind != '0' && kind != 't' && kind != 'f' {
		return json.SkipFunc
	}
	word, err := d.ReadValue()
	if err != nil {
		return err
	}
	return json.Unmarshal(strconv.AppendQuote(nil, string(word)), into)
})

// misfit says what does not fit, with the field's path as in YAML. It quotes no text that is out of place: it may be a secret.
func misfit(e *json.SemanticError) error {
	switch at := place(e.JSONPointer); {
	case errors.Is(e.Err, json.ErrUnknownName):
		return fmt.Errorf("%sunknown field %q, wanted one of %s", place(e.JSONPointer.Parent()), e.JSONPointer.LastToken(), fields(e.GoType))
	case e.Err != nil && e.JSONValue == nil && e.JSONKind != '[' && e.JSONKind != '{': // the type's own
		return fmt.Errorf("%s%w", at, e.Err)
	default:
		return fmt.Errorf("%sis %s, wanted %s", at, cmp.Or(string(e.JSONValue), kinds[e.JSONKind]), wanted(e.GoType))
	}
}

var kinds = map[jsontext.Kind]string{'"': "a text", '0': "a number", 't': "true", 'f': "false", '[': "a list", '{': "a mapping"}

// wanted is what a field of the type has to be.
func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[upgrade.Duration]():
		return "a duration like 10m or 1h30m"
	case reflect.TypeFor[upgrade.Amount]():
		return "a number from 1, or a percentage like 25%"
	case reflect.TypeFor[jumpFields]():
		return "[user@]host[:port], or a mapping of " + fields(t)
	}
	switch t.Kind() {
	case reflect.Struct:
		return "a mapping of " + fields(t)
	case reflect.Map:
		return "a mapping"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	}
	return "a text"
}

// fields are the names of a type's fields.
func fields(t reflect.Type) string {
	var names []string
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// place is where something stands, like "workers.pools[0].drain: "; nothing of the definition as a whole.
func place(p jsontext.Pointer) string {
	var path string
	for token := range p.Tokens() {
		if _, err := strconv.Atoi(token); err == nil {
			path += "[" + token + "]"
		} else {
			path += "." + token
		}
	}
	if path == "" {
		return ""
	}
	return strings.TrimPrefix(path, ".") + ": "
}
