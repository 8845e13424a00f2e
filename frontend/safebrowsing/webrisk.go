package safebrowsing

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// seconds is a duration as JSON has it.
func seconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) + "s" }

// risk is a threat in the answers of Web Risk.
type risk struct {
	Types  []string `json:"threatTypes"`
	Hash   []byte   `json:"hash,omitempty"`
	Expire string   `json:"expireTime"`
}

// riskTypes are the types that a client of Web Risk asks for.
func riskTypes(r *request) ([]string, error) {
	types := r.query["threatTypes"]
	if len(types) == 0 || len(types) > maxLists {
		return nil, invalid("want from 1 to %d threatTypes", maxLists)
	}
	return types, nil
}

// webRiskURI is GET /v1/uris:search?threatTypes=…&uri=… of Web Risk.
func (s *Server) webRiskURI(st *state, w http.ResponseWriter, r *request) error {
	types, err := riskTypes(r)
	if err != nil {
		return err
	}
	if len(r.query["uri"]) != 1 {
		return invalid("want one uri")
	}
	var answer struct {
		Threat *risk `json:"threat,omitempty"`
	}
	for _, m := range st.matches(r.query.Get("uri"), nil) {
		if t := threatsV5[m.list].String(); slices.Contains(types, t) {
			if answer.Threat == nil {
				answer.Threat = &risk{Expire: expiry()}
			}
			answer.Threat.Types = append(answer.Threat.Types, t)
		}
	}
	return sendJSON(w, answer)
}

// webRiskHashes is GET /v1/hashes:search?threatTypes=…&hashPrefix=… of Web Risk.
func (s *Server) webRiskHashes(st *state, w http.ResponseWriter, r *request) error {
	types, err := riskTypes(r)
	if err != nil {
		return err
	}
	prefix, err := fromBase64(r.query.Get("hashPrefix"))
	if err != nil || len(prefix) < 4 || len(prefix) > 32 {
		return invalid("hashPrefix is not the base64 of 4 to 32 bytes")
	}
	answer := struct {
		Threats  []risk `json:"threats,omitempty"`
		Negative string `json:"negativeExpireTime"`
	}{nil, expiry()}
	for l, t := range threatsV5 {
		if !slices.Contains(types, t.String()) {
			continue
		}
		for _, h := range st.lists[l].with(prefix) {
			if len(answer.Threats) < maxMatches {
				answer.Threats = append(answer.Threats, risk{[]string{t.String()}, h[:], answer.Negative})
			}
		}
	}
	return sendJSON(w, answer)
}

func expiry() string { return time.Now().Add(cacheFor).UTC().Format(time.RFC3339) }

func sendJSON(w http.ResponseWriter, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	send(w, http.StatusOK, jsonMedia, b)
	return nil
}
