package safebrowsing_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"headlight.example/frontend/safebrowsing"
	"headlight.example/frontend/safebrowsing/v4"
	"headlight.example/frontend/safebrowsing/v5"
)

// unrice decodes a Golomb-Rice code, bit by bit and with big numbers: independent
// of the code under test.
func unrice(t testing.TB, first *big.Int, k, n int32, data []byte) []*big.Int {
	t.Helper()
	at := 0
	bit := func() int {
		if at/8 >= len(data) {
			t.Fatalf("the code ends early: after %d bits", at)
		}
		b := int(data[at/8]) >> (at % 8) & 1
		at++
		return b
	}
	all := []*big.Int{first}
	last := first
	for range n {
		q := int64(0)
		for bit() == 1 {
			q++
		}
		delta := new(big.Int).Lsh(big.NewInt(q), uint(k))
		for i := range int(k) {
			delta.SetBit(delta, i, uint(bit())|delta.Bit(i))
		}
		last = new(big.Int).Add(last, delta)
		all = append(all, last)
	}
	for ; at%8 != 0; bit() {
	}
	if at/8 != len(data) {
		t.Fatalf("%d bytes are left over", len(data)-at/8)
	}
	return all
}

func big64(words ...uint64) *big.Int {
	x := new(big.Int)
	for _, w := range words {
		x.Lsh(x, 64).Or(x, new(big.Int).SetUint64(w))
	}
	return x
}

// prefixesV5 are the additions of a HashList, of whatever size.
func prefixesV5(t testing.TB, h *v5.HashList) (all []string) {
	t.Helper()
	var numbers []*big.Int
	size := 0
	check := func(k, n, least, most int32) {
		if n > 0 && (k < least || k > most) {
			t.Errorf("the parameter is %d, want %d to %d", k, least, most)
		}
	}
	switch a := h.CompressedAdditions.(type) {
	case nil:
	case *v5.HashList_AdditionsFourBytes:
		r := a.AdditionsFourBytes
		check(r.RiceParameter, r.EntriesCount, 3, 30)
		size, numbers = 4, unrice(t, big64(uint64(r.FirstValue)), r.RiceParameter, r.EntriesCount, r.EncodedData)
	case *v5.HashList_AdditionsEightBytes:
		r := a.AdditionsEightBytes
		check(r.RiceParameter, r.EntriesCount, 35, 62)
		size, numbers = 8, unrice(t, big64(r.FirstValue), r.RiceParameter, r.EntriesCount, r.EncodedData)
	case *v5.HashList_AdditionsSixteenBytes:
		r := a.AdditionsSixteenBytes
		check(r.RiceParameter, r.EntriesCount, 99, 126)
		size, numbers = 16, unrice(t, big64(r.FirstValueHi, r.FirstValueLo), r.RiceParameter, r.EntriesCount, r.EncodedData)
	case *v5.HashList_AdditionsThirtyTwoBytes:
		r := a.AdditionsThirtyTwoBytes
		check(r.RiceParameter, r.EntriesCount, 227, 254)
		size, numbers = 32, unrice(t, big64(r.FirstValueFirstPart, r.FirstValueSecondPart, r.FirstValueThirdPart, r.FirstValueFourthPart), r.RiceParameter, r.EntriesCount, r.EncodedData)
	}
	for _, x := range numbers {
		all = append(all, string(x.FillBytes(make([]byte, size))))
	}
	return all
}

func removalsV5(t testing.TB, h *v5.HashList) (all []int) {
	t.Helper()
	r := h.CompressedRemovals
	if r == nil {
		return nil
	}
	for _, x := range unrice(t, big64(uint64(r.FirstValue)), r.RiceParameter, r.EntriesCount, r.EncodedData) {
		all = append(all, int(x.Int64()))
	}
	return all
}

func numbersV4(t testing.TB, r *v4.RiceDeltaEncoding) []*big.Int {
	t.Helper()
	if r.FirstValue == nil {
		t.Error("the first value is not on the wire")
	}
	if r.NumEntries > 0 && (r.RiceParameter < 2 || r.RiceParameter > 28) {
		t.Errorf("the parameter is %d, want 2 to 28", r.RiceParameter)
	}
	return unrice(t, big.NewInt(r.GetFirstValue()), r.RiceParameter, r.NumEntries, r.EncodedData)
}

// prefixesV4 are the additions of an update, removalsV4 the places of the removals.
func prefixesV4(t testing.TB, u *v4.FetchThreatListUpdatesResponse_ListUpdateResponse) (all []string) {
	t.Helper()
	for _, set := range u.Additions {
		switch set.CompressionType {
		case v4.CompressionType_RAW:
			for x := range slices.Chunk(set.RawHashes.RawHashes, int(set.RawHashes.PrefixSize)) {
				all = append(all, string(x))
			}
		case v4.CompressionType_RICE:
			for _, x := range numbersV4(t, set.RiceHashes) {
				all = append(all, string(binary.LittleEndian.AppendUint32(nil, uint32(x.Uint64()))))
			}
		default:
			t.Fatalf("a set without its compression: %v", set)
		}
	}
	slices.Sort(all)
	return all
}

func removalsV4(t testing.TB, u *v4.FetchThreatListUpdatesResponse_ListUpdateResponse) (all []int) {
	t.Helper()
	for _, set := range u.Removals {
		switch set.CompressionType {
		case v4.CompressionType_RAW:
			for _, x := range set.RawIndices.Indices {
				all = append(all, int(x))
			}
		case v4.CompressionType_RICE:
			for _, x := range numbersV4(t, set.RiceIndices) {
				all = append(all, int(x.Int64()))
			}
		default:
			t.Fatalf("a set without its compression: %v", set)
		}
	}
	return all
}

// The expressions of the vectors, which Firefox accepted.
var five = []string{"a.example/", "b.example/", "c.example/login", "d.example/", "evil.example/x.html?y=1"}

func TestVectorsV5(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		size     int
		sum      string
		message  string // of the additions
		prefixes string
	}{
		{4, "08c365870e4ce2c51d567975f8ddfe92158e7d9e15cf8925618839a41bb7e7e4", "088fdcc2fe06101d18042210f7304f7cfddb5f0f16aa92c5e04ae801", "6fd0ae0fe795a11eeb6d981df1004233f8a16db6"},
		{32, "111414ce14bff09718cb3a471d76903a08d65a4bda87a54303533c75d9572762",
			"08eafaebb0f3c1abe86f1171ff0359b194d1d319129ca1b03a5f2fbd21182044ba42b78e3228fd0130043a8001" +
				"d77d4e4c10d500670e9ce28e1b001b780d84f0a6a240b5c570a70343ef304f7cf5dba325d79ffc38880ff726e90bdcf64cc1eeedae19cbd4bd455ce4fcdb5f0f" +
				"4ebb73ea1537981b5d3aeed0219be02200140f28fabc7c838c850cee15aa92c5d758ca26493ee99dd3e160b833f351a77c99dc1507574e41fe5720b0e04ae801", ""},
	} {
		body := safebrowsing.WriteV5(safebrowsing.Whole(x.size, five...), x.size)
		h := new(v5.HashList)
		if err := proto.Unmarshal(body, h); err != nil {
			t.Fatal(err)
		}
		if got := hex.EncodeToString(h.Sha256Checksum); got != x.sum {
			t.Errorf("%d bytes: checksum %s, want %s", x.size, got, x.sum)
		}
		want, _ := hex.DecodeString(x.message)
		if !bytes.Contains(body, want) {
			t.Errorf("%d bytes: got %x, want it to hold %x", x.size, body, want)
		}
		if got := hex.EncodeToString([]byte(join(prefixesV5(t, h)))); x.prefixes != "" && got != x.prefixes {
			t.Errorf("%d bytes: decoded %s, want %s", x.size, got, x.prefixes)
		}
	}
	removals, _ := hex.DecodeString("2a08100318032202260a")
	if got := safebrowsing.WriteV5(safebrowsing.NewChange([]uint32{0, 3, 4, 9}, nil), 4); !bytes.Contains(got, removals) {
		t.Errorf("removals: got %x, want it to hold %x", got, removals)
	}
}

func TestVectorsV4(t *testing.T) {
	t.Parallel()
	u := new(v4.FetchThreatListUpdatesResponse_ListUpdateResponse)
	if err := proto.Unmarshal(safebrowsing.WriteV4Rice(safebrowsing.Whole(4, five...), 4), u); err != nil {
		t.Fatal(err)
	}
	r := u.Additions[0].RiceHashes
	if r.GetFirstValue() != 263114863 || r.RiceParameter != 28 || r.NumEntries != 4 || hex.EncodeToString(r.EncodedData) != "f83ad31bff4942a4b0064aff0e425706" {
		t.Errorf("got %v", r)
	}
	// The whole list of one, as Firefox got it, but for its state.
	single, _ := hex.DecodeString("2a0a08022206088bb78b9d09")
	if got := safebrowsing.WriteV4Rice(safebrowsing.Whole(4, "bad.test/login.html"), 4); !bytes.Contains(got, single) {
		t.Errorf("a single prefix: got %x, want it to hold %x", got, single)
	}
}

func join(all []string) (s string) {
	for _, x := range all {
		s += x
	}
	return s
}

// What is decoded is what was encoded, in every form and size.
func FuzzCodes(f *testing.F) {
	f.Add([]byte("0000"), []byte{0, 1, 9})
	f.Add([]byte("\x00\x00\x00\x00\xff\xff\xff\xff"), []byte{255})
	f.Add(bytes.Repeat([]byte("headlight"), 99), []byte{})
	f.Fuzz(func(t *testing.T, text, gaps []byte) {
		var removals []uint32
		var places []int
		at := uint32(0)
		for i, g := range gaps {
			at += uint32(g) << (i % 20)
			if at > 1<<30 {
				break
			}
			if len(removals) > 0 && removals[len(removals)-1] == at {
				continue
			}
			removals, places = append(removals, at), append(places, int(at))
		}
		for _, size := range []int{4, 8, 16, 32} {
			var want []string
			for part := range slices.Chunk(text, size) {
				if len(part) == size {
					want = append(want, string(part))
				}
			}
			slices.Sort(want)
			want = slices.Compact(want)
			c := safebrowsing.NewChange(removals, []byte(join(want)))
			h := new(v5.HashList)
			if err := proto.Unmarshal(safebrowsing.WriteV5(c, size), h); err != nil {
				t.Fatal(err)
			}
			if got := prefixesV5(t, h); !slices.Equal(got, want) {
				t.Errorf("v5, %d bytes: got %x, want %x", size, got, want)
			}
			if got := removalsV5(t, h); !slices.Equal(got, places) {
				t.Errorf("v5: removals %v, want %v", got, places)
			}
			for name, body := range map[string][]byte{"raw": safebrowsing.WriteV4Raw(c, size), "rice": nil} {
				if name == "rice" {
					if size != 4 {
						continue
					}
					body = safebrowsing.WriteV4Rice(c, size)
				}
				u := new(v4.FetchThreatListUpdatesResponse_ListUpdateResponse)
				if err := proto.Unmarshal(body, u); err != nil {
					t.Fatal(err)
				}
				if got := prefixesV4(t, u); !slices.Equal(got, want) {
					t.Errorf("v4 %s: got %x, want %x", name, got, want)
				}
				if got := removalsV4(t, u); !slices.Equal(got, places) {
					t.Errorf("v4 %s: removals %v, want %v", name, got, places)
				}
			}
		}
	})
}
