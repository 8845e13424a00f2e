package httpapi

import (
	"net/http"
	"strconv"
)

const (
	haltPath     = "/v1/visits/halt"
	maxHaltBytes = 1 << 10
)

// halt answers POST /v1/visits/halt, the kill switch: with {"halt":true} the visits
// under way end and no more are made, until {"halt":false} or a restart.
func (c *call) halt() error {
	if err := c.read(maxHaltBytes); err != nil {
		return err
	}
	halt, err := decodeHalt(c.body)
	if err != nil {
		return err
	}
	v := c.s.svc.Visits()
	if v == nil {
		return problem(notFound, "no visits are made here")
	}
	if halt {
		v.Halt()
	} else {
		v.Resume()
	}
	// Visits that only an account is kept of stay halted, whoever asks.
	halted := v.Halted()
	c.s.log.Warn("visits switched by an operator", "rater", c.token.Rater, "halted", halted)
	b := append(c.out[:0], `{"halted":`...)
	b = strconv.AppendBool(b, halted)
	c.out = append(b, "}\n"...)
	c.send(http.StatusOK, jsonType, c.out)
	return nil
}

func decodeHalt(body []byte) (halt bool, err error) {
	given := false
	err = decode(body, func(d decoder) error {
		return d.object("", []string{"halt"}, func(name string) error {
			t := d.next()
			if halt, given = t.(bool); !given {
				return wrong(name, "%s: want true or false, got %s", name, typeName(t))
			}
			return nil
		})
	})
	if err == nil && !given {
		err = wrong("halt", "halt is missing: want true or false")
	}
	return halt, err
}
