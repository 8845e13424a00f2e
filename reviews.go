package headlight

import (
	"context"
	"errors"
	"slices"
	"strings"

	"headlight.example/evidence"
	"headlight.example/link"
	"headlight.example/reputation"
)

// ErrNoReview says that no case with an ID waits for a review: it never did, or
// it was settled meanwhile.
var ErrNoReview = errors.New("no such case waits for a review")

// Review is a case that waits for a reviewer, with the verdict as it stands.
type Review struct {
	reputation.Review
	// Verdict is that of the link, or of the front page of what the case is about.
	Verdict reputation.Verdict
}

// Reviews gives the cases that wait for a reviewer, at most limit, in the order
// of [reputation.Review.Compare], from the first that comes behind after; nil
// begins at the first. Open is how many there are in all, dropped how many fell
// out since the start, for want of room. It holds up learning for some
// milliseconds at ten thousand cases.
func (s *Service) Reviews(after *reputation.Review, limit int) (page []Review, open int, dropped uint64) {
	list, dropped := s.table.Reviews()
	open = len(list)
	if after != nil {
		i, found := slices.BinarySearchFunc(list, after, func(r reputation.Review, a *reputation.Review) int { return r.Compare(a) })
		if found {
			i++
		}
		list = list[i:]
	}
	now, p := s.clock.now(), s.policy.Load()
	for _, r := range list[:min(limit, len(list))] {
		page = append(page, Review{r, s.table.Judge(linkOf(r.Subject), p, now)})
	}
	return page, open, dropped
}

// Settle ends a case with an operator's word: a threat, Benign, or Retracted to
// send it away without a word on the link. It is logged as any word of an
// operator is, and so holds after a restart and on a replay. It returns the
// sequence of the record, and the case with the verdict as it is now;
// ErrNoReview if there is no such case.
func (s *Service) Settle(ctx context.Context, id uint64, rater string, a evidence.Assertion) (seq uint64, settled Review, err error) {
	r, ok := s.table.Review(id)
	if !ok {
		return 0, Review{}, ErrNoReview
	}
	rec := evidence.Record{Rater: rater, Subject: r.Subject, Assertion: a}
	if a == evidence.Retracted {
		// Against an operator's word only an appeal can be open. To send that
		// away is to say the word again; taking it back would grant the appeal.
		if anchor := s.Rate(r.Subject).Anchor; anchor != nil {
			rec.Assertion, rec.Expires = anchor.Assertion, anchor.Expires
		}
	}
	if seq, err = s.Append(ctx, rec); err != nil {
		return 0, Review{}, err
	}
	return seq, Review{r, s.table.Judge(linkOf(r.Subject), s.policy.Load(), s.clock.now())}, nil
}

// linkOf gives the link that a subject is, or that of its front page; the zero
// Link if it is no place on the web.
func linkOf(s evidence.Subject) link.Link {
	key := s.Key
	if s.Kind == evidence.Addr && strings.IndexByte(key, ':') >= 0 {
		key = "[" + key + "]"
	}
	l, err := link.Parse("http://" + key)
	if err != nil {
		return link.Link{}
	}
	return l
}
