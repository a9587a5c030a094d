package manage

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyauth/gateway/caddyauth/domain/clients"
	"github.com/caddyauth/gateway/caddyauth/domain/project"
)

// document is the part of the OpenAPI document that the tests read.
type document struct {
	OpenAPI string `json:"openapi"`
	Servers []struct{ URL string }
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Description string
		Parameters  []map[string]any
		RequestBody struct {
			Content map[string]struct{ Schema map[string]any }
		} `json:"requestBody"`
		Responses map[string]struct {
			Ref     string `json:"$ref"`
			Headers map[string]any
			Content map[string]struct{ Schema map[string]any }
		}
	}
	Components struct {
		Schemas   map[string]map[string]any
		Responses map[string]struct {
			Content map[string]struct{ Schema map[string]any }
		}
	}
}

var described = sync.OnceValue(func() document {
	var d document
	if err := json.Unmarshal([]byte(openAPI), &d); err != nil {
		panic(err)
	}
	return d
})

// TestEveryRouteIsInTheDocumentAndTheOtherWayRound also holds the ability of each route against its
// description.
func TestEveryRouteIsInTheDocumentAndTheOtherWayRound(t *testing.T) {
	var routed, documented []string
	for _, r := range routes {
		routed = append(routed, r.Method+" "+r.Path+" "+r.Handler.ability)
	}
	for path, operations := range described().Paths {
		for method, o := range operations {
			ability, _, _ := strings.Cut(strings.TrimPrefix(o.Description, "Ability: "), ".")
			documented = append(documented, strings.ToUpper(method)+" "+path+" "+ability)
		}
	}
	slices.Sort(routed)
	slices.Sort(documented)
	if !slices.Equal(routed, documented) {
		t.Errorf("routes\n%s\ndocument\n%s", strings.Join(routed, "\n"), strings.Join(documented, "\n"))
	}
	if !strings.HasPrefix(described().OpenAPI, "3.1.") {
		t.Errorf("OpenAPI %s", described().OpenAPI)
	}
}

func TestEveryReferenceOfTheDocumentLeadsSomewhere(t *testing.T) {
	var all map[string]any
	if err := json.Unmarshal([]byte(openAPI), &all); err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`"\$ref": "#/([^"]*)"`).FindAllStringSubmatch(openAPI, -1) {
		at := any(all)
		for step := range strings.SplitSeq(found[1], "/") {
			at = at.(map[string]any)[step]
		}
		if at == nil {
			t.Errorf("%s leads nowhere", found[1])
		}
	}
}

func TestOperationIDsAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, operations := range described().Paths {
		for _, o := range operations {
			if o.OperationID == "" || seen[o.OperationID] {
				t.Errorf("the operation id %q", o.OperationID)
			}
			seen[o.OperationID] = true
		}
	}
}

// conforms holds an exchange against the document: the status is one of the operation's, its
// headers are there, the body of the answer has the form, and so has the body of a request that was
// taken. It returns the operation.
func conforms(t *testing.T, method, pattern string, sent []byte, status int, header http.Header, body []byte) string {
	t.Helper()
	o, ok := described().Paths[pattern][strings.ToLower(method)]
	if !ok {
		t.Errorf("%s %s is not in the document", method, pattern)
		return ""
	}
	response, ok := o.Responses[fmt.Sprint(status)]
	if !ok {
		t.Errorf("%s %s: the status %d is not in the document: %s", method, pattern, status, body)
		return ""
	}
	for name := range response.Headers {
		if header.Get(name) == "" {
			t.Errorf("%s %s: %d without the header %s", method, pattern, status, name)
		}
	}
	content := response.Content
	if name, ok := strings.CutPrefix(response.Ref, "#/components/responses/"); ok {
		content = described().Components.Responses[name].Content
	}
	holds(t, fmt.Sprintf("%s %s: the answer %d", method, pattern, status), content["application/json"].Schema, body)
	if status < 300 && len(sent) > 0 {
		holds(t, method+" "+pattern+": the request", o.RequestBody.Content["application/json"].Schema, sent)
	}
	return o.OperationID
}

// holds holds a body against a schema; without a schema there must be none.
func holds(t *testing.T, what string, schema map[string]any, body []byte) {
	t.Helper()
	if schema == nil {
		if len(body) > 0 {
			t.Errorf("%s has a body: %s", what, body)
		}
		return
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		t.Errorf("%s is no JSON: %s", what, body)
		return
	}
	for _, fault := range faults(schema, value, "$") {
		t.Errorf("%s: %s\n%s", what, fault, body)
	}
}

// faults are what of JSON Schema a value breaks, for the words that the document uses.
func faults(schema map[string]any, value any, at string) []string {
	if ref, ok := schema["$ref"].(string); ok {
		return faults(described().Components.Schemas[strings.TrimPrefix(ref, "#/components/schemas/")], value, at)
	}
	if !slices.ContainsFunc(typesOf(schema["type"]), func(name string) bool { return isType(name, value) }) {
		return []string{fmt.Sprintf("%s is %v, not of the type %v", at, value, schema["type"])}
	}
	switch value := value.(type) {
	case map[string]any:
		return objectFaults(schema, value, at)
	case []any:
		var found []string
		for i, element := range value {
			found = append(found, faults(schema["items"].(map[string]any), element, fmt.Sprintf("%s[%d]", at, i))...)
		}
		return found
	case float64:
		return numberFaults(schema, value, at)
	case string:
		return textFaults(schema, value, at)
	}
	return nil
}

func typesOf(v any) []string {
	if name, ok := v.(string); ok {
		return []string{name}
	}
	var names []string
	for _, name := range v.([]any) {
		names = append(names, name.(string))
	}
	return names
}

func isType(name string, value any) bool {
	switch v := value.(type) {
	case nil:
		return name == "null"
	case bool:
		return name == "boolean"
	case string:
		return name == "string"
	case float64:
		return name == "number" || name == "integer" && v == math.Trunc(v)
	case []any:
		return name == "array"
	}
	return name == "object"
}

func objectFaults(schema, value map[string]any, at string) (found []string) {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := value[name.(string)]; !ok {
			found = append(found, fmt.Sprintf("%s.%s is missing", at, name))
		}
	}
	for name, member := range value {
		if property, ok := properties[name].(map[string]any); ok {
			found = append(found, faults(property, member, at+"."+name)...)
		} else if schema["additionalProperties"] == false {
			found = append(found, fmt.Sprintf("%s.%s is not in the document", at, name))
		}
	}
	return found
}

func numberFaults(schema map[string]any, value float64, at string) []string {
	least, hasLeast := schema["minimum"].(float64)
	utmost, hasUtmost := schema["maximum"].(float64)
	if hasLeast && value < least || hasUtmost && value > utmost {
		return []string{fmt.Sprintf("%s is %v, outside its limits", at, value)}
	}
	return nil
}

func textFaults(schema map[string]any, value, at string) (found []string) {
	if pattern, ok := schema["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
		found = append(found, fmt.Sprintf("%s: %q does not have the pattern %s", at, value, pattern))
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, any(value)) {
		found = append(found, fmt.Sprintf("%s: %q is none of %v", at, value, enum))
	}
	if _, err := time.Parse(time.RFC3339, value); schema["format"] == "date-time" && err != nil {
		found = append(found, fmt.Sprintf("%s: %q is no time", at, value))
	}
	if schema["format"] == "uuid" && len(value) != 36 {
		found = append(found, fmt.Sprintf("%s: %q is no UUID", at, value))
	}
	return found
}

// TestFaultsAreNoticed makes sure that the tests against the document can fail.
func TestFaultsAreNoticed(t *testing.T) {
	for _, c := range []struct{ name, body string }{
		{"Error", `{"error":"x"}`},
		{"Ttl", `{"jwt_access_ttl":"900","jwt_refresh_ttl":null}`},
		{"Entry", `{"surprise":1}`},
		{"NewProject", `{"slug":"A"}`},
		{"Ability", `"write"`},
		{"TtlChange", `{"jwt_access_ttl":31536001}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var value any
			if err := json.Unmarshal([]byte(c.body), &value); err != nil {
				t.Fatal(err)
			}
			if len(faults(described().Components.Schemas[c.name], value, "$")) == 0 {
				t.Errorf("%s: %s has no fault", c.name, c.body)
			}
		})
	}
}

// TestDocumentNamesEveryValue: what a field of clients and projects may be is what the document lists,
// in requests as in answers.
func TestDocumentNamesEveryValue(t *testing.T) {
	for _, c := range []struct {
		field string
		want  []string
	}{
		{"id_token_signed_response_alg", clients.IDTokenAlgorithms},
		{"token_endpoint_auth_method", clients.AuthMethods},
		{"response_modes", clients.ResponseModes},
		{"consent", clients.ConsentPolicies},
		{"preset", clients.Presets},
		{"access_token_format", []string{project.JWT, project.Opaque}},
	} {
		t.Run(c.field, func(t *testing.T) {
			found := 0
			for name, schema := range described().Components.Schemas {
				properties, _ := schema["properties"].(map[string]any)
				field, ok := properties[c.field].(map[string]any)
				if !ok {
					continue
				}
				found++
				if items, list := field["items"].(map[string]any); list {
					field = items
				}
				if got := texts(field["enum"]); !slices.Equal(got, c.want) {
					t.Errorf("%s: %q, want %q", name, got, c.want)
				}
			}
			if found == 0 {
				t.Error("no schema has the field")
			}
		})
	}
}

// texts are the strings of a list; null is none.
func texts(list any) (found []string) {
	all, _ := list.([]any)
	for _, value := range all {
		if text, ok := value.(string); ok {
			found = append(found, text)
		}
	}
	return found
}
