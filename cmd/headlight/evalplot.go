package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"strings"

	"headlight.example/internal/scoring"
)

// area is the inner part of a diagram, in pixels from the top left.
type area struct{ x, y, w, h float64 }

// The figure: two diagrams side by side and one below.
const figureWidth, figureHeight = 960, 810

var (
	rocArea         = area{70, 110, 380, 280}
	calibrationArea = area{550, 110, 380, 280}
	ageArea         = area{70, 550, 860, 170}
)

// minFPR is where the axis of false alarms begins. What costs less is drawn there.
const minFPR = 1e-4

// rocX places a rate of false alarms on a logarithmic axis from minFPR to 1.
func (a area) rocX(fpr float64) float64 {
	return a.x + a.w*(1-math.Log10(max(fpr, minFPR))/math.Log10(minFPR))
}

// share places a share on the axis that goes up, right on the one that goes right.
func (a area) up(share float64) float64    { return a.y + a.h*(1-share) }
func (a area) right(share float64) float64 { return a.x + a.w*share }

// svg is a drawing in the making. What is written as text is escaped.
type svg struct{ b bytes.Buffer }

func (s *svg) add(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

func escaped(text string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// text writes at a point; the class says how big, and which part of the text
// the point is at.
func (s *svg) text(x, y float64, class, format string, args ...any) {
	s.add(`<text x="%.1f" y="%.1f" class="%s">%s</text>`, x, y, class, escaped(fmt.Sprintf(format, args...)))
}

func (s *svg) line(x1, y1, x2, y2 float64, class string) {
	s.add(`<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" class="%s"/>`, x1, y1, x2, y2, class)
}

// figureStyle is legible on white and, where the reader prefers that, on dark.
// Blue, orange and their likes are told apart by the colour-blind as well
// (Okabe and Ito, 2008); curves and marks differ in form besides.
const figureStyle = `<style>
svg { font: 11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.paper { fill: #ffffff }
.title { font-size: 16px; font-weight: 600 }
.head { font-size: 13px; font-weight: 600 }
.note { fill: #59636e }
.middle, .tick { text-anchor: middle }
.end { text-anchor: end }
.small { font-size: 9px; text-anchor: middle; fill: #59636e }
.value { font-weight: 600; text-anchor: middle }
.grid { stroke: #d1d9e0; stroke-width: 1 }
.axis { stroke: #59636e; stroke-width: 1 }
.chance { stroke: #818b98; stroke-width: 1; stroke-dasharray: 2 3; fill: none }
.model { stroke: #0072b2; stroke-width: 2; fill: none; stroke-linejoin: round }
.interval { stroke: #0072b2; stroke-width: 1 }
.dot { fill: #0072b2; stroke: #ffffff; stroke-width: 1 }
.additive { stroke: #6e7781; stroke-width: 1.5; stroke-dasharray: 6 3; fill: none }
.list { fill: #d55e00; stroke: #ffffff; stroke-width: 1 }
.dangerous { fill: #d55e00 }
.suspicious { fill: #e6a54a }
@media (prefers-color-scheme: dark) {
svg { fill: #e6edf3 }
.paper { fill: #0d1117 }
.note, .small { fill: #9198a1 }
.grid { stroke: #30363d }
.axis { stroke: #9198a1 }
.chance, .additive { stroke: #848d97 }
.model, .interval { stroke: #56b4e9 }
.dot { fill: #56b4e9; stroke: #0d1117 }
.list { fill: #ff9a4d; stroke: #0d1117 }
.dangerous { fill: #ff7b3d }
.suspicious { fill: #b98a3a }
}
</style>`

// writeSVG draws how well bad was told from good. about says of what stream.
func (r *evalReport) writeSVG(out io.Writer, about string) error {
	s := new(svg)
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">`, figureWidth, figureHeight, figureWidth, figureHeight)
	s.add(`<title>%s</title>`, escaped("Links judged before anything was learnt of them: "+about))
	s.add("%s", figureStyle)
	s.add(`<rect class="paper" width="%d" height="%d"/>`, figureWidth, figureHeight)
	s.text(20, 30, "title", "%s", about)
	s.text(20, 50, "note", "%s bad and %s good links, judged before anything was learnt of them%s",
		thousands(r.Bad), thousands(r.Good), r.circumstances())
	s.roc(rocArea, r)
	s.calibration(calibrationArea, r)
	s.ages(ageArea, r)
	s.add(`</svg>`)
	_, err := s.b.WriteTo(out)
	return err
}

// circumstances are how the stream was made worse, as the end of a sentence.
func (r *evalReport) circumstances() string {
	text := ""
	if r.From != "" {
		text += "; asked from " + strings.TrimSuffix(r.From, "T00:00:00Z") + " on"
	}
	if r.Delay != "" {
		text += "; reports learnt " + r.Delay + " later"
	}
	if r.Flipped != nil {
		text += fmt.Sprintf("; labels of %v of the URLs turned about", percent(r.Flipped.Share))
	}
	return text
}

// percent writes a share with two digits that matter: 0.01 %, 0.25 %, 62 %,
// 99.6 %, 100 %.
func percent(share float64) string {
	if math.IsNaN(share) {
		return "–"
	}
	digits := 0
	for p := share * 100; p > 0 && p < 9.95 && digits < 3; p *= 10 {
		digits++
	}
	if share > .99 {
		digits = 1
	}
	text := fmt.Sprintf("%.*f", digits, share*100)
	if digits > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text + " %"
}

// shares draws a grid for shares from 0 to 100 % that go up.
func (s *svg) shares(a area) {
	for i := range 6 {
		share := float64(i) / 5
		s.line(a.x, a.up(share), a.x+a.w, a.up(share), "grid")
		s.text(a.x-6, a.up(share)+4, "end", "%.0f %%", share*100)
	}
}

func (s *svg) frame(a area) {
	s.line(a.x, a.y, a.x, a.y+a.h, "axis")
	s.line(a.x, a.y+a.h, a.x+a.w, a.y+a.h, "axis")
}

// sideways writes up along the left side of a diagram.
func (s *svg) sideways(a area, text string) {
	s.add(`<text transform="translate(%.1f %.1f) rotate(-90)" class="note middle">%s</text>`, a.x-46, a.y+a.h/2, escaped(text))
}

// marks are the forms of the exact lists, each around (0, 0).
var marks = [len(listNames)]string{
	"M-4-4H4V4H-4Z",                         // url: a square
	"M0-5.5 5 4H-5Z",                        // host: a triangle
	"M0-6 6 0 0 6-6 0Z",                     // tenant: a diamond
	"M-1.5-5.5h3v4h4v3h-4v4h-3v-4h-4v-3h4Z", // domain: a cross
}

// roc draws detection over false alarms: the model, the additive filter, and
// the exact lists, which are points.
func (s *svg) roc(a area, r *evalReport) {
	s.text(a.x, a.y-34, "head", "Detection and false alarms (ROC), AUC %v", r.AUC)
	s.shares(a)
	for e := -4; e <= 0; e++ {
		fpr := math.Pow10(e)
		s.line(a.rocX(fpr), a.y, a.rocX(fpr), a.y+a.h, "grid")
		s.text(a.rocX(fpr), a.y+a.h+16, "tick", "%s", percent(fpr))
	}
	s.text(a.x+a.w/2, a.y+a.h+36, "note middle", "false alarms: share of good links flagged (logarithmic)")
	s.sideways(a, "detection: share of bad links flagged")
	s.frame(a)

	x, y := a.x, a.y-14
	s.line(x, y-4, x+18, y-4, "model")
	s.text(x+23, y, "", "Headlight")
	s.line(x+92, y-4, x+110, y-4, "additive")
	s.text(x+115, y, "", "additive")
	s.text(x+175, y, "", "lists of")
	x += 222
	for i, name := range listNames {
		s.add(`<path transform="translate(%.1f %.1f)" d="%s" class="list"/>`, x+5, y-4, marks[i])
		s.text(x+14, y, "", "%s", name)
		x += []float64{38, 46, 58, 0}[i]
	}
	if r.curve == nil {
		s.text(a.x+a.w/2, a.y+a.h/2, "note middle", "one class is missing")
		return
	}
	var chance strings.Builder
	for i := 0; i <= 60; i++ {
		fpr := math.Pow(minFPR, 1-float64(i)/60)
		fmt.Fprintf(&chance, "%c%.1f %.1f", "ML"[btoi(i > 0)], a.rocX(fpr), a.up(fpr))
	}
	s.add(`<path d="%s" class="chance"><title>chance</title></path>`, chance.String())
	s.add(`<path d="%s" class="additive"><title>additive: AUC %v</title></path>`, a.steps(r.additiveCurve), r.Additive.AUC)
	for i, fpr := range []float64{.01, .001} {
		ends := [][2]number{r.Intervals.TPR.At1, r.Intervals.TPR.At01}[i]
		if math.IsNaN(float64(ends[0])) {
			continue
		}
		at, low, high := a.rocX(fpr), a.up(float64(ends[0])), a.up(float64(ends[1]))
		s.add(`<path d="M%.1f %.1fh6m-3 0V%.1fm-3 0h6" class="interval"><title>95 %% of detection at %s: %v to %v</title></path>`,
			at-3, low, high, percent(fpr), ends[0], ends[1])
	}
	s.add(`<path id="roc" d="%s" class="model"><title>Headlight: AUC %v; detection %v at 1 %%, %v at 0.1 %%, %v at 0.01 %%</title></path>`,
		a.steps(r.curve), r.AUC, r.TPR.At1, r.TPR.At01, r.TPR.At001)
	for i, name := range listNames {
		l := r.Lists[name]
		s.add(`<path transform="translate(%.1f %.1f)" d="%s" class="list"><title>list of each %s: %s detected at %s false alarms; Headlight there %s</title></path>`,
			a.rocX(float64(l.FPR)), a.up(float64(l.TPR)), marks[i], name, percent(float64(l.TPR)), percent(float64(l.FPR)), percent(float64(l.Ours)))
	}
}

// steps is the path of a ROC curve. Between two thresholds there is nothing
// better than the first, so it goes right and then up. Points nearer than half
// a pixel to the last one drawn are left out, but for the last of all.
func (a area) steps(curve []scoring.Point) string {
	var path strings.Builder
	lastX, lastY := a.x, a.up(0)
	fmt.Fprintf(&path, "M%.1f %.1f", lastX, lastY)
	for i, p := range curve {
		x, y := a.rocX(p.FPR), a.up(p.TPR)
		if math.Abs(x-lastX) < .5 && math.Abs(y-lastY) < .5 && i < len(curve)-1 {
			continue
		}
		fmt.Fprintf(&path, "H%.1fV%.1f", x, y)
		lastX, lastY = x, y
	}
	fmt.Fprintf(&path, "H%.1f", a.x+a.w)
	return path.String()
}

// calibration draws what came true over what was predicted.
func (s *svg) calibration(a area, r *evalReport) {
	s.text(a.x, a.y-34, "head", "Calibration")
	s.text(a.x, a.y-14, "note", "ECE %v, Brier score %v; dotted: perfectly calibrated", r.ECE, r.Brier)
	s.shares(a)
	for i := range 6 {
		share := float64(i) / 5
		s.line(a.right(share), a.y, a.right(share), a.y+a.h, "grid")
		s.text(a.right(share), a.y+a.h+16, "tick", "%.0f %%", share*100)
	}
	s.text(a.x+a.w/2, a.y+a.h+50, "note middle", "predicted: mean score of the links in a bin; above: how many they are")
	s.sideways(a, "came true: share of bad links")
	s.frame(a)
	s.line(a.right(0), a.up(0), a.right(1), a.up(1), "chance")
	for _, b := range r.Calibration {
		s.text(a.right((b.From+b.To)/2), a.y+a.h+32, "small", "%s", short(b.N))
		s.add(`<circle cx="%.1f" cy="%.1f" r="4.5" class="dot"><title>%s links scored %.3f to %.3f: predicted %.3f, came true %.3f</title></circle>`,
			a.right(b.Predicted), a.up(b.Bad), thousands(b.N), b.From, b.To, b.Predicted, b.Bad)
	}
}

// short writes a number in four characters: 987, 9.9k, 99k, 999k, 1.2M.
func short(n int) string {
	for _, unit := range []struct {
		size int
		name string
	}{{1_000_000, "M"}, {1_000, "k"}} {
		switch x := float64(n) / float64(unit.size); {
		case x >= 9.95:
			return fmt.Sprintf("%.0f%s", x, unit.name)
		case x >= .9995:
			return fmt.Sprintf("%.1f%s", x, unit.name)
		}
	}
	return fmt.Sprint(n)
}

// ages draws what was detected by how long the tenant had been in the stream.
func (s *svg) ages(a area, r *evalReport) {
	s.text(a.x, a.y-54, "head", "Detection by age of the tenant, under the default policy")
	s.add(`<rect x="%.1f" y="%.1f" width="12" height="12" class="dangerous"/>`, a.x, a.y-40)
	s.text(a.x+17, a.y-30, "", "dangerous")
	s.add(`<rect x="%.1f" y="%.1f" width="12" height="12" class="suspicious"/>`, a.x+90, a.y-40)
	s.text(a.x+107, a.y-30, "", "suspicious")
	s.shares(a)
	s.sideways(a, "share of bad links")
	column := a.w / float64(len(r.Ages))
	for i, age := range r.Ages {
		middle := a.x + column*(float64(i)+.5)
		s.text(middle, a.y+a.h+18, "value", "%s", age.Age)
		flagged := age.Levels["suspicious"]["good"] + age.Levels["dangerous"]["good"]
		s.text(middle, a.y+a.h+34, "note middle", "%s bad", thousands(age.Bad))
		s.text(middle, a.y+a.h+49, "note middle", "%s of %s good flagged", thousands(flagged), thousands(age.Good))
		if age.Bad == 0 {
			continue
		}
		dangerous, both := float64(age.Dangerous), float64(age.Suspicious)
		s.bar(a, middle, 0, dangerous, "dangerous")
		s.bar(a, middle, dangerous, both, "suspicious")
		s.text(middle, a.up(both)-5, "value", "%s", percent(both))
	}
	s.frame(a)
	s.text(a.x+a.w/2, a.y+a.h+70, "note middle", "time since a link of the tenant first occurred in the stream")
}

func (s *svg) bar(a area, middle, from, to float64, class string) {
	const width = 80
	s.add(`<rect x="%.1f" y="%.1f" width="%d" height="%.1f" class="%s"><title>%s: %s</title></rect>`,
		middle-width/2, a.up(to), width, a.up(from)-a.up(to), class, class, percent(to-from))
}
