package link_test

import (
	"strings"
	"testing"

	"headlight.example/link"
)

var unwrapTests = []struct {
	name, raw, inner, wrapper string
}{
	{"Safe Links keep the link in url", "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Fshop.example%2Fa%3Fx%3D1%26y%3D2&data=05%7C01%7C%7C0&sdata=abc%3D&reserved=0", "https://shop.example/a?x=1&y=2", "safelinks"},
	{"Safe Links of the US government cloud", "https://gcc02.safelinks.protection.office365.us/?url=http%3A%2F%2Fshop.example%2F&data=05", "http://shop.example/", "safelinks"},
	{"Safe Links copied out of HTML have &amp;", "https://nam02.safelinks.protection.outlook.com/?data=04&amp;url=http%3A%2F%2Fshop.example%2F%3Fa%26b&amp;reserved=0", "http://shop.example/?a&b", "safelinks"},
	{"a ported wrapper", "https://ddec1-0-en-ctp.trendmicro.com:443/wis/clicktime/v1/query?url=http%3a%2f%2fshop.example%2fx&umid=1&auth=2", "http://shop.example/x", "trendmicro"},
	{"Proofpoint v1 is percent-encoded", "https://urldefense.proofpoint.com/v1/url?u=http://shop.example/a%3Fb%3Dc&k=abc%3D%0A&r=def", "http://shop.example/a?b=c", "proofpoint"},
	{"Proofpoint v2 has - for % and _ for /", "https://urldefense.proofpoint.com/v2/url?u=https-3A__shop.example_a-2Db_c-3Fd-3De-26f-5Fg&d=DwMFaQ&c=x&r=y&m=z&s=w&e=", "https://shop.example/a-b/c?d=e&f_g", "proofpoint"},
	{"Proofpoint v3 without replacements", "https://urldefense.com/v3/__https://shop.example/path__;!!AbC!dEf$", "https://shop.example/path", "proofpoint"},
	{"Proofpoint v3 replaces one character by *", "https://urldefense.com/v3/__https://shop.example:443/search?q=a*test&gs=ps__;Kw!!AbC!dEf$", "https://shop.example/search?q=a+test&gs=ps", "proofpoint"},
	{"Proofpoint v3 replaces a run by ** and its length from A for 2", "https://urldefense.com/v3/__https://shop.example/a**A*b__;Kysj!!AbC!dEf$", "https://shop.example/a++", "proofpoint"},
	{"Proofpoint v3 keeps characters beyond ASCII in UTF-8", "https://urldefense.com/v3/__https://shop.example/*x**A__;w6nDqcOp!!AbC!dEf$", "https://shop.example/%C3%A9x%C3%A9%C3%A9", "proofpoint"},
	{"Proofpoint v3 whose slashes were collapsed", "https://urldefense.proofpoint.com/v3/__https:/shop.example/path__;!!AbC!dEf$", "https://shop.example/path", "proofpoint"},
	{"Barracuda", "https://linkprotect.cudasvc.com/url?a=https%3a%2f%2fshop.example%2fa&c=E,1,abc&typo=1", "https://shop.example/a", "barracuda"},
	{"Mimecast tells the host only", "https://protect-eu.mimecast.com/s/AbCdEfGh?domain=shop.example", "http://shop.example/", "mimecast"},
	{"Mimecast's newer host", "https://url.uk.m.mimecastprotect.com/s/AbC-dEf?domain=shop.example", "http://shop.example/", "mimecast"},
	{"Cisco has it behind its signature", "https://secure-web.cisco.com/1aBc-_d/https%3A%2F%2Fshop.example%2Fa%3Fb", "https://shop.example/a?b", "cisco"},
	{"Sophos writes base64", "https://eu-west-1.protection.sophos.com/?d=shop.example&u=aHR0cHM6Ly9zaG9wLmV4YW1wbGUvYT9iPWM=&p=m&i=1", "https://shop.example/a?b=c", "sophos"},
	{"Trellix", "https://protect2.fireeye.com/v1/url?k=0a&q=1&e=2&u=http%3A%2F%2Fshop.example%2F", "http://shop.example/", "trellix"},
	{"Symantec", "https://clicktime.symantec.com/15t?h=abc=&u=https://shop.example/", "https://shop.example/", "symantec"},
	{"Check Point between underscores", "https://protect.checkpoint.com/v2/___https://shop.example/a?b=c___.YXA6Og==", "https://shop.example/a?b=c", "checkpoint"},
	{"Google's q", "https://www.google.com/url?sa=t&q=https://shop.example/a%3Fb&ved=1", "https://shop.example/a?b", "google"},
	{"Google's url in another country", "http://www.google.co.uk/url?rct=j&url=http://shop.example/&usg=x", "http://shop.example/", "google"},
	{"Google's AMP over https", "https://www.google.com/amp/s/shop.example/a/b%3Fc", "https://shop.example/a/b?c", "google"},
	{"Google's AMP cache", "https://shop-example.cdn.ampproject.org/c/s/shop.example/a?b=1", "https://shop.example/a?b=1", "amp"},
	{"Facebook", "https://l.facebook.com/l.php?u=https%3A%2F%2Fshop.example%2F%3Ffbclid%3Dx&h=AT0", "https://shop.example/?fbclid=x", "facebook"},
	{"Facebook on a phone", "http://lm.facebook.com/l.php?u=https%3A%2F%2Fshop.example%2F&h=AT0", "https://shop.example/", "facebook"},
	{"Instagram", "https://l.instagram.com/?u=https%3A%2F%2Fshop.example%2F&e=AT0", "https://shop.example/", "instagram"},
	{"Slack", "https://slack-redir.net/link?url=https%3A%2F%2Fshop.example%2F", "https://shop.example/", "slack"},
	{"LinkedIn", "https://www.linkedin.com/redir/redirect?url=https%3A%2F%2Fshop%2Eexample&urlhash=x", "https://shop.example/", "linkedin"},
	{"YouTube", "https://www.youtube.com/redirect?event=video_description&q=https%3A%2F%2Fshop.example%2F", "https://shop.example/", "youtube"},
	{"VK", "https://vk.com/away.php?to=https%3A%2F%2Fshop.example%2F&cc_key=", "https://shop.example/", "vk"},
	{"Steam", "https://steamcommunity.com/linkfilter/?u=https%3A%2F%2Fshop.example%2F", "https://shop.example/", "steam"},
	{"Reddit", "https://out.reddit.com/t3_abc?url=https%3A%2F%2Fshop.example%2F&token=x", "https://shop.example/", "reddit"},
	{"Bing writes base64 behind a1", "https://www.bing.com/ck/a?!&&p=abc&u=a1aHR0cHM6Ly9zaG9wLmV4YW1wbGUv&ntb=1", "https://shop.example/", "bing"},
	{"Yahoo has a segment", "https://r.search.yahoo.com/_ylt=Aw/RV=2/RE=1/RO=10/RU=https%3a%2f%2fshop.example%2f/RK=2/RS=x-", "https://shop.example/", "yahoo"},
	{"a translated host", "https://my--shop-example.translate.goog/a?b=1&_x_tr_sl=de&_x_tr_tl=en", "https://my-shop.example/a?b=1", "translate"},
	{"a link whose scheme's colon is encoded twice", "https://www.google.com/url?q=https%253A%252F%252Fshop.example%252Fa", "https://shop.example/a", "google"},
	{"a wrapper inside a wrapper", "https://eur01.safelinks.protection.outlook.com/?url=https%3A%2F%2Furldefense.com%2Fv3%2F__https%3A%2F%2Fshop.example%2Fa__%3B!!AbC!dEf%24&data=05", "https://shop.example/a", "safelinks"},
	{"an address inside", "https://www.google.com/url?q=http://2130706433/x", "http://127.0.0.1/x", "google"},

	{"a search for words is no link", "https://www.google.com/url?q=shops+near+me", "", ""},
	{"a wrapper without its parameter", "https://eur01.safelinks.protection.outlook.com/?data=05", "", ""},
	{"another path of a wrapping host", "https://www.google.com/search?q=https://shop.example/", "", ""},
	{"a name that only begins like a wrapper", "https://www.google.com.evil.example/url?q=https://shop.example/", "", ""},
	{"an inner scheme that is not of the web", "https://www.google.com/url?q=javascript:alert(1)", "", ""},
	{"Proofpoint v3 with too few replacements", "https://urldefense.com/v3/__https://shop.example/a**Z__;Kys!!AbC!dEf$", "", ""},
	{"Proofpoint v3 cut short", "https://urldefense.com/v3/__https://shop.example/a__", "", ""},
	{"base64 that is none", "https://eu-west-1.protection.sophos.com/?u=%00%01", "", ""},
	{"no wrapper at all", "https://shop.example/?url=https://other.example/", "", ""},
	{"no link at all", "mailto:a@shop.example", "", ""},
}

func TestUnwrap(t *testing.T) {
	for _, tt := range unwrapTests {
		t.Run(tt.name, func(t *testing.T) {
			inner, wrapper, ok := link.Unwrap(tt.raw)
			if inner.String() != tt.inner || wrapper != tt.wrapper || ok != (tt.inner != "") {
				t.Errorf("Unwrap(%q) = %q, %q, %v, want %q, %q", tt.raw, inner, wrapper, ok, tt.inner, tt.wrapper)
			}
		})
	}
}

func TestUnwrapTakesOffFiveWrappersAndNotSix(t *testing.T) {
	raw := "https://shop.example/"
	for n := 1; n <= 6; n++ {
		raw = "https://www.google.com/url?q=" + strings.NewReplacer("%", "%25", "&", "%26", "?", "%3F").Replace(raw)
		inner, _, ok := link.Unwrap(raw)
		if want := map[bool]string{true: "shop.example", false: "www.google.com"}[n <= 5]; !ok || inner.Host() != want {
			t.Errorf("%d wrappers: got %q, want host %s", n, inner, want)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	for _, tt := range unwrapTests {
		f.Add(tt.raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		inner, wrapper, ok := link.Unwrap(raw)
		if ok != !inner.IsZero() || ok != (wrapper != "") {
			t.Fatalf("Unwrap(%q) = %q, %q, %v", raw, inner, wrapper, ok)
		}
		if !ok {
			return
		}
		outer, err := link.Parse(raw)
		if err != nil || !outer.Wrapper() {
			t.Fatalf("Unwrap(%q) found %q in no wrapper: %v", raw, inner, err)
		}
		checkLink(t, raw, inner)
	})
}
