package fake

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
)

// object is an answer in JSON.
type object map[string]any

// refusal is an error as AWS gives it.
type refusal struct {
	status        int
	code, message string
}

func refuse(status int, code, format string, args ...any) *refusal {
	return &refusal{status, code, fmt.Sprintf(format, args...)}
}

// request is what was asked.
type request struct {
	*http.Request
	body []byte
}

// read reads the request's JSON.
func (r request) read(into any) *refusal {
	if err := json.Unmarshal(r.body, into); err != nil {
		return refuse(400, "InvalidParameterException", "%v", err)
	}
	return nil
}

// action is one that EKS has.
type action struct {
	name, pattern string
	do            func(*EKS, request) (object, *refusal)
}

var actions = []action{
	{"DescribeCluster", "GET /clusters/{cluster}", describeCluster},
	{"DescribeClusterVersions", "GET /cluster-versions", describeVersions},
	{"UpdateClusterVersion", "POST /clusters/{cluster}/updates", updateCluster},
	{"ListUpdates", "GET /clusters/{cluster}/updates", listUpdates},
	{"DescribeUpdate", "GET /clusters/{cluster}/updates/{id}", describeUpdate},
	{"ListInsights", "POST /clusters/{cluster}/insights", listInsights},
	{"DescribeInsight", "GET /clusters/{cluster}/insights/{id}", describeInsight},
	{"StartInsightsRefresh", "POST /clusters/{cluster}/insights-refresh", startRefresh},
	{"DescribeInsightsRefresh", "GET /clusters/{cluster}/insights-refresh", describeRefresh},
	{"ListAddons", "GET /clusters/{cluster}/addons", listAddons},
	{"DescribeAddon", "GET /clusters/{cluster}/addons/{name}", describeAddon},
	{"UpdateAddon", "POST /clusters/{cluster}/addons/{name}/update", updateAddon},
	{"DescribeAddonVersions", "GET /addons/supported-versions", describeAddonVersions},
	{"ListNodegroups", "GET /clusters/{cluster}/node-groups", listGroups},
	{"DescribeNodegroup", "GET /clusters/{cluster}/node-groups/{name}", describeGroup},
	{"UpdateNodegroupVersion", "POST /clusters/{cluster}/node-groups/{name}/update-version", updateGroup},
	{"ListFargateProfiles", "GET /clusters/{cluster}/fargate-profiles", listFargate},
}

// Start serves the cluster on an address of this machine, until Close.
func (e *EKS) Start() {
	mux := http.NewServeMux()
	for _, a := range actions {
		mux.HandleFunc(a.pattern, func(w http.ResponseWriter, r *http.Request) { e.answer(w, r, a) })
	}
	mux.HandleFunc("POST /{$}", e.serveEC2)
	e.Serve(mux)
}

func (e *EKS) answer(w http.ResponseWriter, r *http.Request, a action) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var answer object
	no := e.fated(a.name, "ThrottlingException", func() (no *refusal) {
		switch name := r.PathValue("cluster"); {
		case e.Forbidden[a.name]:
			return refuse(403, "AccessDeniedException", "not authorised to perform eks:%s", a.name)
		case name != "" && name != e.Name:
			return refuse(404, "ResourceNotFoundException", "No cluster found for name: %s.", name)
		}
		answer, no = a.do(e, request{r, body})
		return no
	})
	w.Header().Set("Content-Type", "application/json")
	if no != nil {
		w.Header().Set("X-Amzn-Errortype", no.code)
		w.WriteHeader(no.status)
		answer = object{"__type": no.code, "message": no.message}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

// fated carries a request out, or lets it come to grief.
func (e *EKS) fated(name, throttled string, do func() *refusal) (no *refusal) {
	e.Meet(name, func() {
		e.step()
		no = do()
	}, func() { no = refuse(429, throttled, "Rate exceeded") })
	return no
}

// page is the part of a list that a request asks for, under a name.
func page[T any](q url.Values, name string, all []T) object {
	from, _ := strconv.Atoi(q.Get("nextToken"))
	from = min(from, len(all))
	to := min(from+pageSize, len(all))
	answer := object{name: append([]T{}, all[from:to]...)}
	if to < len(all) {
		answer["nextToken"] = strconv.Itoa(to)
	}
	return answer
}
