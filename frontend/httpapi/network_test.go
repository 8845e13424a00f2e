package httpapi_test

import (
	"strings"
	"testing"

	"headlight.example/frontend/httpapi"
	"headlight.example/netmap"
)

func networks(t testing.TB) *netmap.Map {
	t.Helper()
	var b netmap.Builder
	if _, err := b.Read(strings.NewReader("192.0.2.0,192.0.2.191,64496,Example\n2001:db8::,2001:db8::ffff,64497\n")); err != nil {
		t.Fatal(err)
	}
	return b.Map()
}

// network mirrors the network in the answer of GET /v1/subjects.
type network struct {
	Prefix string
	AS     uint32
	Name   string
}

func TestTheNetworkOfAnAddressIsTold(t *testing.T) {
	t.Parallel()
	svc := newService(t)
	api := apiOf(svc, httpapi.Config{})
	ask := func(path string) *network {
		t.Helper()
		kind, key, _ := strings.Cut(path, " ")
		return subjectOf(t, api, kind, key, "").Network
	}
	if n := ask("addr 192.0.2.1"); n != nil {
		t.Errorf("without tables: %+v", n)
	}
	svc.SetNetworks(networks(t))
	for path, want := range map[string]network{
		"addr 192.0.2.1":             {"192.0.2.0/25", 64496, "Example"},
		"url http://3221225994/x":    {"192.0.2.0/25", 64496, "Example"},
		"host 192.0.2.130":           {"192.0.2.128/26", 64496, "Example"},
		"url http://[2001:db8::1]/x": {"2001:db8::/112", 64497, ""},
	} {
		if n := ask(path); n == nil || *n != want {
			t.Errorf("%s: got %+v, want %+v", path, n, want)
		}
	}
	for _, path := range []string{"addr 192.0.2.192", "url http://a.example/", "as 64496"} {
		if n := ask(path); n != nil {
			t.Errorf("%s: got %+v", path, n)
		}
	}
}
