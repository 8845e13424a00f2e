package bench

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Sentences for the corpora, our own, in the manner of chats and letters: times,
// abbreviations, ellipses, missing spaces and brackets as people leave them.
var sentences = []string{
	"hey are you coming over tonight or shall we meet tomorrow", "did you see the game last night? what a finish, wow!",
	"can you send me the notes from the lecture on monday please", "I'll be there at 7:30, just finishing up at work. see u",
	"no worries, take your time. we have not ordered anything yet", "lol that is so true, my brother said exactly the same",
	"thanks for the help yesterday, it really made a difference", "so the plan is: train at nine, museum, lunch, then the zoo",
	"ok...let me know when you get home. drive safely", "I can't find the receipt anywhere :( do you have a copy?",
	"The committee met on Tuesday to look at the budget.", "Nobody was surprised by the figures, which had been in the papers.",
	"We will write again next week; until then, thank you for your patience.", "Please find enclosed the minutes (see page 3, second paragraph).",
	"It rained all day, so we stayed in and read.", "The new version is 2.4.1 and fixes the crash that Mr. Hall reported.",
	"Prices start at 12.50 a night, breakfast not included.", "If you have questions, e.g. about the invoice, call us between 9 a.m. and 5 p.m.",
	"My sister, who lives in Leeds, is coming on Friday with the children.", "That is not what I meant at all.",
	"The garden looks wonderful this year - you should come and see it.", "Could you bring the blue folder? It is on the shelf by the door.",
	"We regret that the item you ordered is out of stock until the end of the month.", "There were about two hundred people in the hall, most of them standing.",
	"Ring me when you land.", "I do not think that anybody else has noticed it yet.",
	"Your reference is 48-1173/B; quote it in all letters.", "\"Nothing of the kind,\" she said, and closed the book.",
	"He had walked the whole way along the river, past the mill and the old station.", "All of this was long ago, of course, and things have changed.",
}

var corpusLinks = []string{
	"https://www.youtube.com/watch?v=dQw4w9WgXcQ", "https://github.com/golang/go/issues/12345", "http://example.com/", "https://en.wikipedia.org/wiki/Public_Suffix_List",
	"https://docs.google.com/document/d/1aBcD_efGhIjKlMnOpQrStUvWxYz/edit?usp=sharing", "https://t.co/a1B2c3D4e5", "www.example.org/news/today.html",
	"https://shop.example.co.uk/basket?id=4711&ref=mail#top", "bit.ly/3xYzAbC", "https://maps.example.net/@52.5,13.4,12z",
}

// chatCorpus is n messages of about 60 bytes, one in ten with a link.
func chatCorpus(n int) []string {
	r := rand.New(rand.NewPCG(1, 2))
	messages := make([]string, n)
	for i := range messages {
		s := sentences[r.IntN(len(sentences))]
		if i%10 == 9 {
			l := corpusLinks[r.IntN(len(corpusLinks))]
			s = cutWords(s, max(10, 60-len(l))) + " " + l
		} else {
			for len(s) < 50 {
				s += " " + sentences[r.IntN(len(sentences))]
			}
			s = cutWords(s, 64)
		}
		messages[i] = s
	}
	return messages
}

func cutWords(s string, n int) string {
	if len(s) <= n {
		return s
	}
	if i := strings.LastIndexByte(s[:n], ' '); i > 0 {
		n = i
	}
	return s[:n]
}

// mailCorpus is a text of about n bytes in lines of at most 72, a link every
// kilobyte and a half.
func mailCorpus(n int) string {
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	column, sinceLink := 0, 0
	word := func(w string) {
		switch {
		case column+1+len(w) > 72:
			b.WriteByte('\n')
			column = 0
		case column > 0:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(w)
		column += len(w)
	}
	for b.Len() < n {
		s := sentences[10+r.IntN(len(sentences)-10)]
		for _, w := range strings.Fields(s) {
			word(w)
		}
		if sinceLink += len(s); sinceLink > 1500 {
			sinceLink = 0
			word(corpusLinks[r.IntN(len(corpusLinks))])
		}
		if r.IntN(6) == 0 {
			b.WriteString("\n\n")
			column = 0
		}
	}
	return b.String()
}

// TestWriteLinkCorpus writes the corpora into the directory that HEADLIGHT_CORPUS
// names, where programs in other languages read them: chat.txt, a message a
// line, and mail.txt. linkify.sh runs it.
func TestWriteLinkCorpus(t *testing.T) {
	dir := os.Getenv("HEADLIGHT_CORPUS")
	if dir == "" {
		dir = t.TempDir()
	}
	chat := strings.Join(chatCorpus(10000), "\n") + "\n"
	for name, text := range map[string]string{"chat.txt": chat, "mail.txt": mailCorpus(100 << 10)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}
