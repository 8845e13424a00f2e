package safebrowsing

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"headlight.example/frontend/safebrowsing/v5"
	"headlight.example/link"
)

// named is a list as version 5 knows it. A name once published stays: its list
// becomes empty.
type named struct {
	name  string
	list  list
	size  int
	about string
}

var namedLists = func() (all []named) {
	for _, x := range []named{
		{"se", social, 0, "phishing"},
		{"mw", malware, 0, "malware"},
		{"uws", unwanted, 0, "unwanted software"},
	} {
		for _, size := range []int{4, 8, 16, 32} {
			all = append(all, named{x.name + "-" + strconv.Itoa(size) + "b", x.list, size, x.about})
		}
	}
	return append(all,
		named{"gc-32b", safe, 32, "well-known names, which are likely safe"},
		named{"uwsa-4b", nothing, 4, "unwanted software for Android; empty"},
		named{"pha-4b", nothing, 4, "harmful software for Android; empty"},
		named{"mwb-4b", nothing, 4, "malicious downloads; empty"},
		named{"csdda-32b", nothing, 32, "downloads that are likely safe; empty"},
	)
}()

func findNamed(name string) (*named, bool) {
	for i := range namedLists {
		if namedLists[i].name == name {
			return &namedLists[i], true
		}
	}
	return nil, false
}

// threatsV5 are the types of the lists in version 5, and Web Risk's.
var threatsV5 = [...]v5.ThreatType{social: v5.ThreatType_SOCIAL_ENGINEERING, malware: v5.ThreatType_MALWARE, unwanted: v5.ThreatType_UNWANTED_SOFTWARE}

func (s *Server) batchGet(st *state, w http.ResponseWriter, r *request) error {
	q := new(v5.BatchGetHashListsRequest)
	if r.query.Has("$req") {
		if err := readEncoded(r.query.Get("$req"), q); err != nil {
			return err
		}
	} else {
		q.Names = r.query["names"]
		var err error
		if q.Version, err = decodeAll(r.query["version"]); err != nil {
			return err
		}
		if q.SizeConstraints, err = constraints(r); err != nil {
			return err
		}
	}
	if len(q.Names) == 0 || len(q.Names) > maxLists || len(q.Version) > maxLists {
		return invalid("want from 1 to %d names, and no more versions", maxLists)
	}
	var parts [][]byte
	for _, name := range q.Names {
		list, err := s.list(st, r, name, q.Version, q.SizeConstraints)
		if err != nil {
			return err
		}
		n := 0
		for _, p := range list {
			n += len(p)
		}
		head := protowire.AppendTag(nil, 1, protowire.BytesType) // BatchGetHashListsResponse.hash_lists
		parts = append(parts, protowire.AppendVarint(head, uint64(n)))
		parts = append(parts, list...)
	}
	return s.sendParts(w, r, r.binaryV5(), new(v5.BatchGetHashListsResponse), parts)
}

func (s *Server) getList(st *state, w http.ResponseWriter, r *request) error {
	q := new(v5.GetHashListRequest)
	if r.query.Has("$req") {
		if err := readEncoded(r.query.Get("$req"), q); err != nil {
			return err
		}
	} else {
		version, err := decodeAll(r.query["version"])
		if err != nil {
			return err
		}
		if len(version) > 0 {
			q.Version = version[0]
		}
		if q.SizeConstraints, err = constraints(r); err != nil {
			return err
		}
	}
	q.Name = strings.TrimPrefix(r.URL.Path, "/v5/hashList/")
	parts, err := s.list(st, r, q.Name, [][]byte{q.Version}, q.SizeConstraints)
	if err != nil {
		return err
	}
	return s.sendParts(w, r, r.binaryV5(), new(v5.HashList), parts)
}

// constraints reads those that stand in a URL.
func constraints(r *request) (*v5.SizeConstraints, error) {
	c := new(v5.SizeConstraints)
	for name, to := range map[string]*int32{
		"sizeConstraints.maxUpdateEntries": &c.MaxUpdateEntries, "sizeConstraints.maxDatabaseEntries": &c.MaxDatabaseEntries,
	} {
		text := r.query.Get(name)
		if text == "" {
			continue
		}
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return nil, invalid("%s is no number", name)
		}
		*to = int32(n)
	}
	return c, nil
}

func decodeAll(texts []string) (all [][]byte, err error) {
	if len(texts) > maxPrefixes {
		return nil, invalid("there are more than %d", maxPrefixes)
	}
	for _, t := range texts {
		b, err := fromBase64(t)
		if err != nil {
			return nil, invalid("what should be bytes is not base64")
		}
		all = append(all, b)
	}
	return all, nil
}

// list gives a HashList in parts. The client's version of it is any of versions,
// or none.
func (s *Server) list(st *state, r *request, name string, versions [][]byte, c *v5.SizeConstraints) ([][]byte, error) {
	x, ok := findNamed(name)
	if !ok {
		return nil, missing("there is no such list; GET /v5/hashLists says which there are")
	}
	var have *token
	for _, v := range versions {
		if t, ok := readToken(v, s.cfg.ID); ok && t.list == x.list && t.size == x.size {
			have = &t
		}
	}
	lim := newLimits(c.GetMaxUpdateEntries(), c.GetMaxDatabaseEntries())
	u := s.update(st, x.list, x.size, have, lim, form{rice: true}, writeV5)
	if err := s.hold(r, u.ownBytes()); err != nil {
		return nil, err
	}
	head, err := proto.Marshal(&v5.HashList{
		Name: name, Version: u.token.append(nil, s.cfg.ID), PartialUpdate: u.partial, MinimumWaitDuration: forSeconds(waitFor),
	})
	return [][]byte{head, u.body}, err
}

// writeV5 encodes what the HashList of a change has besides its head. Protobuf
// takes a message that is the one behind the other as one of all their fields.
func writeV5(c *change, size int) []byte {
	h := &v5.HashList{Sha256Checksum: c.sum[:]}
	if len(c.additions) > 0 {
		// The parameter is 3 to 30 for 4 bytes, and as much more as there are more bits.
		more := 8 * (size - 4)
		r := riceEncode(c.additions, size, 3+more, 30+more)
		k, n := int32(r.k), int32(r.count)
		switch size {
		case 4:
			h.CompressedAdditions = &v5.HashList_AdditionsFourBytes{AdditionsFourBytes: &v5.RiceDeltaEncoded32Bit{
				FirstValue: uint32(r.first[3]), RiceParameter: k, EntriesCount: n, EncodedData: r.data}}
		case 8:
			h.CompressedAdditions = &v5.HashList_AdditionsEightBytes{AdditionsEightBytes: &v5.RiceDeltaEncoded64Bit{
				FirstValue: r.first[3], RiceParameter: k, EntriesCount: n, EncodedData: r.data}}
		case 16:
			h.CompressedAdditions = &v5.HashList_AdditionsSixteenBytes{AdditionsSixteenBytes: &v5.RiceDeltaEncoded128Bit{
				FirstValueHi: r.first[2], FirstValueLo: r.first[3], RiceParameter: k, EntriesCount: n, EncodedData: r.data}}
		case 32:
			h.CompressedAdditions = &v5.HashList_AdditionsThirtyTwoBytes{AdditionsThirtyTwoBytes: &v5.RiceDeltaEncoded256Bit{
				FirstValueFirstPart: r.first[0], FirstValueSecondPart: r.first[1], FirstValueThirdPart: r.first[2], FirstValueFourthPart: r.first[3],
				RiceParameter: k, EntriesCount: n, EncodedData: r.data}}
		}
	}
	if len(c.removals) > 0 {
		r := riceOfNumbers(c.removals, 3, 30)
		h.CompressedRemovals = &v5.RiceDeltaEncoded32Bit{
			FirstValue: uint32(r.first[3]), RiceParameter: int32(r.k), EntriesCount: int32(r.count), EncodedData: r.data}
	}
	b, err := proto.Marshal(h)
	if err != nil {
		panic(err) // it has no text that could be invalid
	}
	return b
}

var lengths = map[int]v5.HashListMetadata_HashLength{
	4: v5.HashListMetadata_FOUR_BYTES, 8: v5.HashListMetadata_EIGHT_BYTES,
	16: v5.HashListMetadata_SIXTEEN_BYTES, 32: v5.HashListMetadata_THIRTY_TWO_BYTES,
}

func (s *Server) listLists(st *state, w http.ResponseWriter, r *request) error {
	q := new(v5.ListHashListsRequest)
	if r.query.Has("$req") {
		if err := readEncoded(r.query.Get("$req"), q); err != nil {
			return err
		}
	} else {
		if text := r.query.Get("pageSize"); text != "" {
			n, err := strconv.ParseInt(text, 10, 32)
			if err != nil {
				return invalid("pageSize is no number")
			}
			q.PageSize = int32(n)
		}
		q.PageToken = r.query.Get("pageToken")
	}
	from, size := 0, len(namedLists)
	if q.PageToken != "" {
		n, err := strconv.Atoi(q.PageToken)
		if err != nil || n < 0 || n > len(namedLists) {
			return invalid("the page token is none of ours")
		}
		from = n
	}
	if q.PageSize < 0 {
		return invalid("pageSize is below 0")
	}
	if q.PageSize > 0 {
		size = int(q.PageSize)
	}
	answer := new(v5.ListHashListsResponse)
	page := namedLists[from:]
	if len(page) > size {
		page = page[:size]
		answer.NextPageToken = strconv.Itoa(from + size)
	}
	for i := range page {
		x := &page[i]
		m := &v5.HashListMetadata{Description: x.about, HashLength: lengths[x.size]}
		if int(x.list) < len(threatsV5) {
			m.ThreatTypes = []v5.ThreatType{threatsV5[x.list]}
		}
		switch x.name {
		case "gc-32b":
			m.LikelySafeTypes = []v5.LikelySafeType{v5.LikelySafeType_GENERAL_BROWSING}
		case "csdda-32b":
			m.LikelySafeTypes = []v5.LikelySafeType{v5.LikelySafeType_DOWNLOAD}
		}
		answer.HashLists = append(answer.HashLists, &v5.HashList{Name: x.name, Metadata: m})
	}
	return s.sendMessage(w, r, r.binaryV5(), answer)
}

func (s *Server) searchHashes(st *state, w http.ResponseWriter, r *request) error {
	q := new(v5.SearchHashesRequest)
	var err error
	if r.query.Has("$req") {
		err = readEncoded(r.query.Get("$req"), q)
	} else {
		q.HashPrefixes, err = decodeAll(r.query["hashPrefixes"])
	}
	if err != nil {
		return err
	}
	if len(q.HashPrefixes) > maxPrefixes {
		return invalid("there are more than %d prefixes", maxPrefixes)
	}
	answer := &v5.SearchHashesResponse{CacheDuration: forSeconds(cacheFor)}
	for _, p := range q.HashPrefixes {
		if len(p) != 4 {
			return invalid("a prefix is not of 4 bytes")
		}
		for l, t := range threatsV5 {
			for _, h := range st.lists[l].with(p) {
				if len(answer.FullHashes) < maxMatches {
					answer.FullHashes = append(answer.FullHashes, &v5.FullHash{FullHash: h[:], FullHashDetails: []*v5.FullHash_FullHashDetail{{ThreatType: t}}})
				}
			}
		}
	}
	return s.sendMessage(w, r, r.binaryV5(), answer)
}

// match is the expression of a link that is on a list.
type match struct {
	expression string
	list       list
}

// matches gives the most exact expression of a URL for each list that it is on.
// Both versions look for the suffixes of a host as browsers do, which are more
// than version 5 has: what is published of a host is meant for all below it.
func (st *state) matches(raw string, into []match) []match {
	l, err := link.Parse(raw)
	if err != nil {
		return into
	}
	var room [link.MaxExpressions]string
	begin := len(into)
	for _, x := range link.AppendExpressions(room[:0], l, link.V4) {
		h := link.Hash(x)
		for on := range threatsV5 {
			if !st.lists[on].has(&h) {
				continue
			}
			seen := false
			for _, m := range into[begin:] {
				seen = seen || m.list == list(on)
			}
			if !seen {
				into = append(into, match{x, list(on)})
			}
		}
	}
	return into
}

// searchURLs is not in the public protobuf definitions: the answer is JSON.
func (s *Server) searchURLs(st *state, w http.ResponseWriter, r *request) error {
	urls := r.query["urls"]
	if len(urls) == 0 || len(urls) > maxURLsV5 {
		return invalid("want from 1 to %d urls", maxURLsV5)
	}
	type threat struct {
		URL   string   `json:"url"`
		Types []string `json:"threatTypes"`
	}
	answer := struct {
		Threats       []threat `json:"threats"`
		CacheDuration string   `json:"cacheDuration"`
	}{[]threat{}, seconds(cacheFor)}
	for _, u := range urls {
		for _, m := range st.matches(u, nil) {
			answer.Threats = append(answer.Threats, threat{m.expression, []string{threatsV5[m.list].String()}})
		}
	}
	return sendJSON(w, answer)
}
