package jetstream_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestNodesAnswerEachOther(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3)
	for i, n := range c.node {
		err := n.Answer(func(_ context.Context, question []byte) []byte {
			if string(question) == fmt.Sprint("silence of ", i) {
				return nil
			}
			return fmt.Appendf(nil, "%d heard %s", i, question)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	ask := func(i int, question string) (answers []string, missing int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all, missing := c.node[i].Ask(ctx, []byte(question))
		for _, a := range all {
			answers = append(answers, string(a))
		}
		slices.Sort(answers)
		return answers, missing
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for i := range c.node { // until each is connected to each
		for _, missing := ask(i, "hello"); missing > 0; _, missing = ask(i, "hello") {
			<-tick.C
		}
	}
	if got, missing := ask(1, "x"); fmt.Sprint(got) != "[0 heard x 2 heard x]" || missing != 0 {
		t.Errorf("got %v, and none of %d", got, missing)
	}
	if got, missing := ask(1, "silence of 0"); fmt.Sprint(got) != "[2 heard silence of 0]" || missing != 1 {
		t.Errorf("one is silent: %v, and none of %d", got, missing)
	}
	c.stop(2)
	if got, missing := ask(0, "y"); fmt.Sprint(got) != "[1 heard y]" || missing != 1 {
		t.Errorf("one is gone: %v, and none of %d", got, missing)
	}
}
