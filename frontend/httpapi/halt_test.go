package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"headlight.example/frontend/httpapi"
)

func TestAnOperatorHaltsVisits(t *testing.T) {
	t.Parallel()
	svc, _ := visitedService(t)
	api := apiOf(svc, httpapi.Config{})
	for _, halt := range []string{"false", "true", "true", "false"} {
		w := request{path: "/v1/visits/halt", token: operatorSecret, body: `{"halt":` + halt + `}`}.send(t, api)
		if w.Code != http.StatusOK || w.Body.String() != `{"halted":`+halt+"}\n" {
			t.Fatalf("halt %s: %d %s", halt, w.Code, w.Body)
		}
		if svc.Visits().Halted() != (halt == "true") {
			t.Errorf("after %s it is halted: %v", halt, svc.Visits().Halted())
		}
		gauge := map[string]string{"true": "\nheadlight_visits_halted 1\n", "false": "\nheadlight_visits_halted 0\n"}[halt]
		if body := (request{path: "/metrics"}).send(t, api).Body.String(); !strings.Contains(body, gauge) {
			t.Errorf("after %s the metrics lack %s", halt, gauge)
		}
		if body := (request{path: "/visits"}).send(t, api).Body.String(); strings.Contains(body, "At present it makes no visits") != (halt == "true") {
			t.Errorf("after %s the page says\n%s", halt, body)
		}
	}
}

func TestWhoMayNotHaltVisits(t *testing.T) {
	t.Parallel()
	svc, _ := visitedService(t)
	svc.Visits().Resume()
	api := apiOf(svc, httpapi.Config{})
	const path, yes = "/v1/visits/halt", `{"halt":true}`
	wantProblem(t, request{path: path, body: yes}.send(t, api), 401, "unauthenticated")
	wantProblem(t, request{path: path, body: yes, token: userSecret}.send(t, api), 403, "forbidden")
	wantProblem(t, request{path: path, body: yes, token: readerSecret}.send(t, api), 403, "forbidden")
	cross := map[string]string{"Sec-Fetch-Site": "cross-site"}
	wantProblem(t, request{path: path, body: yes, token: operatorSecret, header: cross}.send(t, api), 403, "forbidden")
	for _, body := range []string{`{}`, `{"halt":"true"}`, `{"halt":null}`, `{"halt":1}`, `{"halt":true,"halt":true}`, `{"halt":true,"x":1}`, `[]`} {
		wantProblem(t, request{path: path, body: body, token: operatorSecret}.send(t, api), 400, "bad-field")
	}
	wantProblem(t, request{path: path, body: strings.Repeat(" ", 1025), token: operatorSecret}.send(t, api), 413, "too-large")
	wantProblem(t, request{path: path, token: operatorSecret}.send(t, api), 405, "wrong-method")
	if svc.Visits().Halted() {
		t.Error("visits are halted all the same")
	}
	wantProblem(t, request{path: path, body: yes, token: operatorSecret}.send(t, newAPI(t, httpapi.Config{})), 404, "not-found")
}
