package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"headlight.example/reputation"
)

// element is one of a drawing, with the text right within it.
type element struct {
	name string
	attr map[string]string
	text string
}

func drawn(t *testing.T, r *evalReport, about string) (elements []*element) {
	t.Helper()
	var b bytes.Buffer
	if err := r.writeSVG(&b, about); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(b.String(), "NaN") || strings.Contains(b.String(), "Inf") {
		t.Errorf("what is not known is drawn:\n%s", b.String())
	}
	var open []*element
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatal(err)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := &element{name: x.Name.Local, attr: make(map[string]string)}
			for _, a := range x.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			elements, open = append(elements, e), append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if len(open) > 0 {
				open[len(open)-1].text += string(x)
			}
		}
	}
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// some makes links of whose scores something can be told.
func some(good, bad int) []labelled {
	random := rand.New(rand.NewPCG(3, 4))
	var xs []labelled
	for i := range good + bad {
		isBad := i >= good
		score := random.Float64() * random.Float64()
		if isBad {
			score = 1 - score
		}
		j := &judged{score: score, sum: math.Round(score * 5), tenant: uint64(i / 3), class: houses[i%2], stratum: strata[i%4],
			level: reputation.Level(int(score * 3)), age: time.Duration(random.IntN(60)-1) * 24 * time.Hour}
		for l := range j.lists {
			j.lists[l] = score > .6+float64(l)/10
		}
		xs = append(xs, labelled{j, isBad})
	}
	return xs
}

var number1 = regexp.MustCompile(`-?[0-9.]+`)

func TestPlotShowsWhatTheFiguresSay(t *testing.T) {
	t.Parallel()
	const pixel = .1 // coordinates are rounded to it
	var r evalReport
	r.fill(some(4000, 3000))
	var roc string
	var dots, lists, bars int
	near := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got-want) > within {
			t.Errorf("%s: drawn at %v, want %v", what, got, want)
		}
	}
	for _, e := range drawn(t, &r, "x") {
		switch {
		case e.attr["id"] == "roc":
			roc = e.attr["d"]
		case e.name == "circle":
			b := r.Calibration[dots]
			near("calibration", float(t, e.attr["cx"]), calibrationArea.right(b.Predicted), pixel)
			near("calibration", float(t, e.attr["cy"]), calibrationArea.up(b.Bad), pixel)
			dots++
		case e.attr["class"] == "list":
			if lists++; lists <= len(listNames) {
				continue // the legend comes first
			}
			l, at := r.Lists[listNames[lists-len(listNames)-1]], number1.FindAllString(e.attr["transform"], -1)
			near("list", float(t, at[0]), rocArea.rocX(float64(l.FPR)), pixel)
			near("list", float(t, at[1]), rocArea.up(float64(l.TPR)), pixel)
		case e.name == "rect" && e.attr["width"] == "80":
			age := r.Ages[bars/2]
			share := float64(age.Dangerous)
			if bars%2 == 1 {
				share = float64(age.Suspicious) - share
			}
			near(age.Age, float(t, e.attr["height"]), share*ageArea.h, pixel)
			bars++
		}
	}
	if dots != len(r.Calibration) || dots != 15 || lists != 2*len(listNames) || bars != 2*len(ages) {
		t.Errorf("%d dots, %d marks of lists, %d bars", dots, lists, bars)
	}

	// Each corner is an operating point, and none is left out that could be seen.
	all := sampleSet(some(4000, 3000), byScore, func(labelled) bool { return true })
	var corners [][2]float64
	numbers := number1.FindAllString(roc, -1)
	for i := 2; i+1 < len(numbers); i += 2 { // after M x y: H x V y …
		corners = append(corners, [2]float64{float(t, numbers[i]), float(t, numbers[i+1])})
	}
	if len(corners) < 100 {
		t.Fatalf("%d corners in %s", len(corners), roc)
	}
	apart := func(a, b [2]float64) float64 { return max(math.Abs(a[0]-b[0]), math.Abs(a[1]-b[1])) }
	nearest := func(p [2]float64, of [][2]float64) float64 {
		d := math.Inf(1)
		for _, q := range of {
			d = min(d, apart(p, q))
		}
		return d
	}
	var points [][2]float64
	for _, p := range all.Curve() {
		if at := all.At(p.FPR); at != p {
			t.Fatalf("curve has %+v, At says %+v", p, at)
		}
		points = append(points, [2]float64{rocArea.rocX(p.FPR), rocArea.up(p.TPR)})
	}
	for _, c := range corners {
		if d := nearest(c, points); d > pixel {
			t.Errorf("corner %v is %v pixels from any operating point", c, d)
		}
	}
	for _, p := range points {
		if d := nearest(p, corners); d > .5+pixel {
			t.Errorf("operating point %v is %v pixels from what is drawn", p, d)
		}
	}
}

func TestPlotOfLittle(t *testing.T) {
	t.Parallel()
	for _, xs := range [][]labelled{nil, some(5, 0), some(0, 5), some(1, 1)} {
		var r evalReport
		r.fill(xs)
		drawn(t, &r, "little")
	}
}

func TestPlotEscapesItsTexts(t *testing.T) {
	t.Parallel()
	const about = `</text><script>alert("1")</script> & 'x'`
	var r evalReport
	r.Delay = `<b onclick="x">`
	r.fill(some(10, 10))
	shown := false
	for _, e := range drawn(t, &r, about) {
		shown = shown || e.text == about
		if e.name == "script" || e.name == "b" {
			t.Errorf("a text became an element: %+v", e)
		}
	}
	if !shown {
		t.Error("the title is not as it was given")
	}
}

func TestNumbersOfThePlot(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]string{
		0: "0 %", .00001: "0.001 %", .0001: "0.01 %", .00025: "0.025 %", .001: "0.1 %", .0196: "2 %", .0996: "10 %", .1: "10 %",
		.624: "62 %", .99: "99 %", .9964: "99.6 %", 1: "100 %", math.NaN(): "–",
	} {
		if got := percent(share); got != want {
			t.Errorf("share %v: got %q, want %q", share, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 987: "987", 999: "999", 1000: "1.0k", 9949: "9.9k", 9950: "10k", 999_499: "999k", 999_500: "1.0M", 12_000_000: "12M"} {
		if got := short(n); got != want {
			t.Errorf("%d: got %q, want %q", n, got, want)
		}
	}
}
