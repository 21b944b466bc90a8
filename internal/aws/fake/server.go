package fake

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// refusal is an error as AWS gives it.
type refusal struct{ code, message string }

func refuse(code, format string, args ...any) *refusal {
	return &refusal{code, fmt.Sprintf(format, args...)}
}

// elem is an element of an answer.
type elem struct {
	name string
	text string
	kids []elem
}

func text(name string, v any) elem         { return elem{name: name, text: fmt.Sprint(v)} }
func group(name string, kids ...elem) elem { return elem{name: name, kids: kids} }

func (e elem) write(b *strings.Builder) {
	b.WriteString("<" + e.name + ">")
	_ = xml.EscapeText(b, []byte(e.text))
	for _, k := range e.kids {
		k.write(b)
	}
	b.WriteString("</" + e.name + ">")
}

// list is a list as AWS writes it: each item under a name.
func list[T any](name, item string, all []T, of func(T) []elem) elem {
	l := elem{name: name}
	for _, one := range all {
		l.kids = append(l.kids, group(item, of(one)...))
	}
	return l
}

// form is a request's parameters.
type form struct{ url.Values }

// strings reads a list: PREFIX.1, PREFIX.2, ...
func (f form) strings(prefix string) []string {
	var all []string
	for i := 1; f.Has(prefix + "." + strconv.Itoa(i)); i++ {
		all = append(all, f.Get(prefix+"."+strconv.Itoa(i)))
	}
	return all
}

// objects reads a list of objects, each by its prefix: PREFIX.1., PREFIX.2., ...
func (f form) objects(prefix string) []string {
	var all []string
	for i := 1; ; i++ {
		p := prefix + "." + strconv.Itoa(i) + "."
		found := false
		for key := range f.Values {
			found = found || strings.HasPrefix(key, p)
		}
		if !found {
			return all
		}
		all = append(all, p)
	}
}

func (f form) number(key string) int {
	n, _ := strconv.Atoi(f.Get(key))
	return n
}

// service is one of the three, known by the version of its API.
type service struct {
	name    string
	actions map[string]func(*AWS, form) ([]elem, *refusal)
	ec2     bool // its answers look otherwise
}

var services = map[string]service{
	"2016-11-15": {name: "ec2", actions: ec2Actions, ec2: true},
	"2011-01-01": {name: "autoscaling", actions: scalingActions},
	"2015-12-01": {name: "elasticloadbalancing", actions: balancerActions},
}

// Start serves the AWS on an address of this machine, until Close.
func (a *AWS) Start() {
	a.Serve(a)
}

// ServeHTTP answers a request of the SDK.
func (a *AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f := form{r.PostForm}
	action := f.Get("Action")
	s, known := services[f.Get("Version")]
	var kids []elem
	var no *refusal
	a.Meet(action, func() {
		do := s.actions[action]
		if !known || do == nil || a.Without[action] {
			no = refuse("InvalidAction", "The action %s is not valid for this web service.", action)
			return
		}
		a.step()
		kids, no = do(a, f)
	}, func() {
		no = refuse("RequestLimitExceeded", "Request limit exceeded.")
		if s.name == "autoscaling" {
			no.code = "Throttling"
		}
	})
	var b strings.Builder
	answer(&b, s, action, kids, no)
	w.Header().Set("Content-Type", "text/xml")
	if no != nil {
		w.WriteHeader(http.StatusBadRequest)
	}
	_, _ = w.Write([]byte(b.String()))
}

func answer(b *strings.Builder, s service, action string, kids []elem, no *refusal) {
	const id = "00000000-0000-4000-8000-000000000000"
	switch {
	case no != nil && s.ec2:
		group("Response", group("Errors", group("Error", text("Code", no.code), text("Message", no.message))), text("RequestID", id)).write(b)
	case no != nil:
		group("ErrorResponse", group("Error", text("Type", "Sender"), text("Code", no.code), text("Message", no.message)), text("RequestId", id)).write(b)
	case s.ec2:
		group(action+"Response", append([]elem{text("requestId", id)}, kids...)...).write(b)
	default:
		group(action+"Response", group(action+"Result", kids...), group("ResponseMetadata", text("RequestId", id))).write(b)
	}
}
