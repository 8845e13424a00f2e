package safebrowsing

import (
	"encoding/binary"
	"math/bits"
	"net/http"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"headlight.example/frontend/safebrowsing/v4"
)

// listOfType is the list of a type that a client asks for. Browsers ask for social
// engineering by another number than other clients.
func listOfType(t v4.ThreatType, e v4.ThreatEntryType) list {
	if e != v4.ThreatEntryType_URL {
		return nothing
	}
	switch t {
	case v4.ThreatType_SOCIAL_ENGINEERING, v4.ThreatType_SOCIAL_ENGINEERING_INTERNAL:
		return social
	case v4.ThreatType_MALWARE:
		return malware
	case v4.ThreatType_UNWANTED_SOFTWARE:
		return unwanted
	}
	return nothing
}

func (s *Server) fetchUpdates(st *state, w http.ResponseWriter, r *request) error {
	q := new(v4.FetchThreatListUpdatesRequest)
	if err := r.readV4(q); err != nil {
		return err
	}
	return s.fetch(st, w, r, q)
}

func (s *Server) encodedUpdates(st *state, w http.ResponseWriter, r *request) error {
	q := new(v4.FetchThreatListUpdatesRequest)
	if err := readEncoded(strings.TrimPrefix(r.URL.Path, "/v4/encodedUpdates/"), q); err != nil {
		return err
	}
	return s.fetch(st, w, r, q)
}

// fetch answers each part of the request, in order: clients count them.
func (s *Server) fetch(st *state, w http.ResponseWriter, r *request, q *v4.FetchThreatListUpdatesRequest) error {
	if len(q.ListUpdateRequests) > maxLists {
		return invalid("there are more than %d lists", maxLists)
	}
	var parts [][]byte
	for _, x := range q.ListUpdateRequests {
		l := listOfType(x.ThreatType, x.ThreatEntryType)
		var have *token
		if t, ok := readToken(x.State, s.cfg.ID); ok {
			have = &t
		}
		c := x.Constraints
		f := form{v4: true, rice: slices.Contains(c.GetSupportedCompressions(), v4.CompressionType_RICE)}
		write := writeV4Raw
		if f.rice {
			write = writeV4Rice
		}
		u := s.update(st, l, 4, have, newLimits(c.GetMaxUpdateEntries(), c.GetMaxDatabaseEntries()), f, write)
		if err := s.hold(r, u.ownBytes()); err != nil {
			return err
		}
		body := u.body
		if u.same {
			body = write(&u.change, 4)
		}
		head, err := proto.Marshal(&v4.FetchThreatListUpdatesResponse_ListUpdateResponse{
			ThreatType: x.ThreatType, ThreatEntryType: x.ThreatEntryType, PlatformType: x.PlatformType,
			NewClientState: u.token.append(nil, s.cfg.ID),
		})
		if err != nil {
			return err
		}
		tag := protowire.AppendTag(nil, 1, protowire.BytesType) // FetchThreatListUpdatesResponse.list_update_responses
		tag = protowire.AppendVarint(tag, uint64(len(head)+len(body)))
		parts = append(parts, append(tag, head...), body)
	}
	end, err := proto.Marshal(&v4.FetchThreatListUpdatesResponse{MinimumWaitDuration: forSeconds(waitFor)})
	if err != nil {
		return err
	}
	return s.sendParts(w, r, r.binaryV4(), new(v4.FetchThreatListUpdatesResponse), append(parts, end))
}

func writeV4Raw(c *change, size int) []byte {
	var additions, removals *v4.ThreatEntrySet
	if len(c.additions) > 0 {
		additions = &v4.ThreatEntrySet{CompressionType: v4.CompressionType_RAW, RawHashes: &v4.RawHashes{PrefixSize: int32(size), RawHashes: c.additions}}
	}
	if len(c.removals) > 0 {
		list := make([]int32, len(c.removals))
		for i, x := range c.removals {
			list[i] = int32(x)
		}
		removals = &v4.ThreatEntrySet{CompressionType: v4.CompressionType_RAW, RawIndices: &v4.RawIndices{Indices: list}}
	}
	return writeV4(c, additions, removals)
}

// writeV4Rice takes prefixes of 4 bytes, which version 4 codes as numbers whose
// first byte is the least significant.
func writeV4Rice(c *change, _ int) []byte {
	var additions, removals *v4.ThreatEntrySet
	if len(c.additions) > 0 {
		numbers := make([]uint32, 0, len(c.additions)/4)
		for at := 0; at < len(c.additions); at += 4 {
			numbers = append(numbers, bits.ReverseBytes32(binary.BigEndian.Uint32(c.additions[at:])))
		}
		slices.Sort(numbers)
		additions = &v4.ThreatEntrySet{CompressionType: v4.CompressionType_RICE, RiceHashes: riceV4(numbers)}
	}
	if len(c.removals) > 0 {
		removals = &v4.ThreatEntrySet{CompressionType: v4.CompressionType_RICE, RiceIndices: riceV4(c.removals)}
	}
	return writeV4(c, additions, removals)
}

func riceV4(rising []uint32) *v4.RiceDeltaEncoding {
	r := riceOfNumbers(rising, 2, 28) // the parameters that clients take
	return &v4.RiceDeltaEncoding{FirstValue: new(int64(r.first[3])), RiceParameter: int32(r.k), NumEntries: int32(r.count), EncodedData: r.data}
}

func writeV4(c *change, additions, removals *v4.ThreatEntrySet) []byte {
	u := &v4.FetchThreatListUpdatesResponse_ListUpdateResponse{
		ResponseType: v4.FetchThreatListUpdatesResponse_ListUpdateResponse_FULL_UPDATE,
		Checksum:     &v4.Checksum{Sha256: c.sum[:]},
	}
	if c.partial {
		u.ResponseType = v4.FetchThreatListUpdatesResponse_ListUpdateResponse_PARTIAL_UPDATE
	}
	if additions != nil {
		u.Additions = []*v4.ThreatEntrySet{additions}
	}
	if removals != nil {
		u.Removals = []*v4.ThreatEntrySet{removals}
	}
	b, err := proto.Marshal(u)
	if err != nil {
		panic(err) // it has no text that could be invalid
	}
	return b
}

// asked is what a client wants to be told of, each once: a match is answered with
// the type and platform that it asked for, or it would not recognise it.
type asked struct {
	types     []v4.ThreatType
	platforms []v4.PlatformType
	urls      bool
}

func readAsked(i *v4.ThreatInfo) (a asked, err error) {
	if len(i.GetThreatTypes()) > maxLists || len(i.GetPlatformTypes()) > maxLists {
		return a, invalid("there are more than %d threat types or platforms", maxLists)
	}
	for _, t := range i.GetThreatTypes() {
		if listOfType(t, v4.ThreatEntryType_URL) != nothing && !slices.Contains(a.types, t) {
			a.types = append(a.types, t)
		}
	}
	for _, p := range i.GetPlatformTypes() {
		if _, known := v4.PlatformType_name[int32(p)]; known && !slices.Contains(a.platforms, p) {
			a.platforms = append(a.platforms, p)
		}
	}
	a.urls = slices.Contains(i.GetThreatEntryTypes(), v4.ThreatEntryType_URL)
	return a, nil
}

// matchCached is for how long a client may keep that a URL matches; it is in many
// answers at once, which only read it.
var matchCached = forSeconds(cacheFor)

// add appends the matches of an entry that is on a list.
func (a *asked) add(to []*v4.ThreatMatch, l list, e *v4.ThreatEntry) []*v4.ThreatMatch {
	if !a.urls {
		return to
	}
	for _, t := range a.types {
		if listOfType(t, v4.ThreatEntryType_URL) != l {
			continue
		}
		for _, p := range a.platforms {
			if len(to) < maxMatches {
				to = append(to, &v4.ThreatMatch{ThreatType: t, PlatformType: p, ThreatEntryType: v4.ThreatEntryType_URL, Threat: e, CacheDuration: matchCached})
			}
		}
	}
	return to
}

func (s *Server) findHashes(st *state, w http.ResponseWriter, r *request) error {
	q := new(v4.FindFullHashesRequest)
	if err := r.readV4(q); err != nil {
		return err
	}
	return s.fullHashes(st, w, r, q)
}

func (s *Server) encodedHashes(st *state, w http.ResponseWriter, r *request) error {
	q := new(v4.FindFullHashesRequest)
	if err := readEncoded(strings.TrimPrefix(r.URL.Path, "/v4/encodedFullHashes/"), q); err != nil {
		return err
	}
	return s.fullHashes(st, w, r, q)
}

func (s *Server) fullHashes(st *state, w http.ResponseWriter, r *request, q *v4.FindFullHashesRequest) error {
	a, err := readAsked(q.ThreatInfo)
	if err != nil {
		return err
	}
	entries := q.ThreatInfo.GetThreatEntries()
	if len(entries) > maxPrefixes {
		return invalid("there are more than %d prefixes", maxPrefixes)
	}
	answer := &v4.FindFullHashesResponse{NegativeCacheDuration: forSeconds(cacheFor)}
	for _, e := range entries {
		if len(e.Hash) < 4 || len(e.Hash) > 32 {
			return invalid("a prefix is not of 4 to 32 bytes")
		}
		for l := range threatsV5 {
			for _, h := range st.lists[l].with(e.Hash) {
				answer.Matches = a.add(answer.Matches, list(l), &v4.ThreatEntry{Hash: h[:]})
			}
		}
	}
	return s.sendMessage(w, r, r.binaryV4(), answer)
}

func (s *Server) findMatches(st *state, w http.ResponseWriter, r *request) error {
	q := new(v4.FindThreatMatchesRequest)
	binary := r.binaryV4()
	if binary || !readPlain(r.body, q) {
		q.Reset()
		if err := r.readV4(q); err != nil {
			return err
		}
	}
	a, err := readAsked(q.ThreatInfo)
	if err != nil {
		return err
	}
	entries := q.ThreatInfo.GetThreatEntries()
	if len(entries) > maxURLs {
		return invalid("there are more than %d urls", maxURLs)
	}
	answer := new(v4.FindThreatMatchesResponse)
	var room [numLists]match
	for _, e := range entries {
		for _, m := range st.matches(e.Url, room[:0]) {
			answer.Matches = a.add(answer.Matches, m.list, &v4.ThreatEntry{Url: e.Url})
		}
	}
	if binary {
		return s.sendMessage(w, r, true, answer)
	}
	b := appendMatches(make([]byte, 0, 256), answer.Matches) // room for one, of a URL of 80 bytes
	if err := s.hold(r, len(b)); err != nil {
		return err
	}
	send(w, http.StatusOK, jsonMedia, b)
	return nil
}

// takeHit answers a report of a client that it blocked something, which we have no
// use for.
func (s *Server) takeHit(_ *state, w http.ResponseWriter, r *request) error {
	send(w, http.StatusOK, jsonMedia, []byte("{}"))
	return nil
}

func (s *Server) threatLists(_ *state, w http.ResponseWriter, r *request) error {
	answer := new(v4.ListThreatListsResponse)
	for _, t := range []v4.ThreatType{v4.ThreatType_MALWARE, v4.ThreatType_SOCIAL_ENGINEERING, v4.ThreatType_UNWANTED_SOFTWARE} {
		for p := v4.PlatformType_WINDOWS; p <= v4.PlatformType_CHROME; p++ {
			answer.ThreatLists = append(answer.ThreatLists, &v4.ListThreatListsResponse_ThreatListDescriptor{
				ThreatType: t, PlatformType: p, ThreatEntryType: v4.ThreatEntryType_URL})
		}
	}
	return s.sendMessage(w, r, r.binaryV4(), answer)
}
