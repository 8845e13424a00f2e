package httpapi

import (
	"net/http"
	"strconv"

	"headlight.example/message"
	"headlight.example/reputation"
)

// check answers POST /v1/check.
func (c *call) check() error {
	if err := c.read(maxCheckBytes); err != nil {
		return err
	}
	links, err := c.givenLinks()
	if err != nil {
		return err
	}
	var levels judged
	b := append(c.out[:0], `{"verdicts":[`...)
	for i, given := range links {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(c.appendChecked(b, given, &levels), '}')
	}
	c.out = append(b, "]}\n"...)
	c.s.metrics.judged(&levels)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

// givenLinks are those of the body.
func (c *call) givenLinks() ([]string, error) {
	var ok bool
	c.text, c.ends, ok = fastLinks(c.body, c.text[:0], c.ends[:0], maxLinks)
	if !ok {
		return decodeCheck(c.body)
	}
	// One copy for all: the service may hold a link for a second, and the
	// buffer is used again before that.
	text, begin := string(c.text), 0
	c.links = c.links[:0]
	for _, end := range c.ends {
		c.links = append(c.links, text[begin:end])
		begin = end
	}
	return c.links, nil
}

// appendChecked judges one link. One that does not parse is no error of the
// call: a message with a broken link among others is common.
func (c *call) appendChecked(b []byte, given string, levels *judged) []byte {
	f, err := c.s.svc.CheckURL(given)
	if err != nil {
		levels.add(reputation.Unknown)
		return appendError(b, given, err.Error())
	}
	levels.add(f.Verdict.Level)
	return c.appendFinding(b, given, &f)
}

// scan answers POST /v1/scan.
func (c *call) scan() error {
	if err := c.read(c.s.cfg.MaxScanBytes); err != nil {
		return err
	}
	typ, text, err := c.givenMessage()
	if err != nil {
		return err
	}
	scan := c.s.svc.CheckMessage(typ, text)
	var levels judged
	b := append(c.out[:0], `{"level":"`...)
	b = append(b, scan.Level.String()...)
	b = append(b, `","links":[`...)
	for i := range scan.Links {
		if i > 0 {
			b = append(b, ',')
		}
		f := &scan.Links[i]
		levels.add(f.Verdict.Level)
		b = c.appendFound(c.appendFinding(b, shorten(f.Raw), f), &f.Found)
		b = c.spill(append(b, '}'))
	}
	b = append(b, `],"unscanned":[`...)
	for i, e := range scan.Unscanned {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.spill(appendUnscanned(b, e))
	}
	c.out = append(b, "]}\n"...)
	c.s.metrics.judged(&levels)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

// givenMessage is that of the body.
func (c *call) givenMessage() (message.Type, string, error) {
	body := scanBody{}
	typ, text, ok := fastScan(c.body)
	if ok {
		body = scanBody{typ, string(text)}
	} else {
		var err error
		if body, err = decodeScan(c.body); err != nil {
			return 0, "", err
		}
	}
	t, err := message.ParseType(body.typ)
	if err != nil {
		return 0, "", wrong("type", "type: %q is not text/plain, text/html or message/rfc822", clip(body.typ))
	}
	return t, body.text, nil
}

// maxRaw bounds what is given back of a link as written: a data: URL may hold
// a whole picture. Longer than any link that parses.
const maxRaw = 16 << 10

func shorten(raw string) string {
	if len(raw) > maxRaw {
		return raw[:maxRaw] + "…"
	}
	return raw
}

var whereNames = [...]string{
	message.InText: "text", message.Anchor: "anchor", message.Source: "source",
	message.Form: "form", message.Refresh: "refresh", message.Header: "header",
}

var markNames = []struct {
	mark message.Marks
	name string
}{
	{message.Defanged, "defanged"}, {message.Schemeless, "schemeless"}, {message.Broken, "broken"},
	{message.Mismatch, "mismatch"}, {message.Script, "script"}, {message.Data, "data"},
	{message.Unsubscribe, "unsubscribe"},
}

// appendFound appends the further members of a link found in a message.
func (c *call) appendFound(b []byte, f *message.Found) []byte {
	b = append(b, `,"shown":`...)
	b = appendString(b, f.Shown)
	b = append(b, `,"where":"`...)
	if int(f.Where) < len(whereNames) {
		b = append(b, whereNames[f.Where]...)
	}
	b = append(b, `","part":`...)
	b = appendString(b, f.Part)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, int64(f.Offset), 10)
	b = append(b, `,"marks":[`...)
	first := true
	for _, m := range markNames {
		if f.Marks&m.mark == 0 {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = appendString(b, m.name)
	}
	return append(b, ']')
}

// appendUnscanned says what of the message was not looked at.
func appendUnscanned(b []byte, e *message.BoundError) []byte {
	b = append(b, `{"bound":`...)
	b = appendString(b, e.Bound)
	b = append(b, `,"part":`...)
	b = appendString(b, e.Part)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, int64(e.Unscanned), 10)
	return append(b, '}')
}
