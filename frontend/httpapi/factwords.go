package httpapi

import (
	"net/http"
	"strconv"

	"headlight.example/evidence"
)

// alikeIn says in what servers are alike, by the name of a fact.
var alikeIn = [evidence.NumFacts]string{
	evidence.FactAnswer:           "how it answers",
	evidence.FactServer:           "its software",
	evidence.FactPoweredBy:        "what it is powered by",
	evidence.FactType:             "the type of the page",
	evidence.FactAttachment:       "the file that it offers",
	evidence.FactModified:         "the age of the page",
	evidence.FactHTTP:             "how it speaks HTTP",
	evidence.FactShape:            "the order of its headers",
	evidence.FactRedirects:        "where it redirects",
	evidence.FactTLS:              "its version of TLS",
	evidence.FactCertificate:      "who issued its certificate",
	evidence.FactCertificateAge:   "the age of its certificate",
	evidence.FactCertificateNames: "the number of names in its certificate",
	evidence.FactHSTS:             "asking for encryption (HSTS)",
	evidence.FactCSP:              "its content security policy",
	evidence.FactCookie:           "setting a cookie",
	evidence.FactHTTP3:            "offering HTTP/3",
	evidence.FactRegistered:       "how long its domain is registered",
	evidence.FactNameServer:       "whose name servers it has",
}

// FactSentence puts a fact that a server has shown into words, for a person. The
// value is "" if it is no longer known.
//
//	answer 404                → answered 404 (Not Found)
//	certificate let-s-encrypt → certificate issued by let-s-encrypt
func FactSentence(name evidence.FactName, value string) string {
	if value == "" {
		return "something about " + alikeIn[name] + "; the log no longer says what"
	}
	if words := factWords[name.String()+"/"+value]; words != "" {
		return words
	}
	switch name {
	case evidence.FactAnswer:
		if status, err := strconv.Atoi(value); err == nil && http.StatusText(status) != "" {
			value += " (" + http.StatusText(status) + ")"
		}
	case evidence.FactModified, evidence.FactCertificateAge:
		value = ages[value]
	}
	return factBegins[name] + value
}

// factBegins are the beginnings of sentences that end in a value. Facts without one
// have all of their sentences in factWords.
var factBegins = [evidence.NumFacts]string{
	evidence.FactAnswer:         "answered ",
	evidence.FactServer:         "server software: ",
	evidence.FactPoweredBy:      "powered by ",
	evidence.FactType:           "type of the page: ",
	evidence.FactAttachment:     "offers a file to be saved, by its name .",
	evidence.FactModified:       "page last changed ",
	evidence.FactHTTP:           "HTTP/",
	evidence.FactShape:          "order of its headers: ",
	evidence.FactTLS:            "TLS ",
	evidence.FactCertificate:    "certificate issued by ",
	evidence.FactNameServer:     "name servers of ",
	evidence.FactCertificateAge: "certificate issued ",
}

// ages words what evidence.FactAge gives.
var ages = map[string]string{
	"day": "within a day of the visit", "week": "within a week of the visit", "month": "within a month of the visit",
	"quarter": "within three months of the visit", "year": "within a year of the visit", "older": "more than a year before the visit",
	"future": "in the future",
}

var factWords = map[string]string{
	"answer/timeout":                        "did not answer in time",
	"answer/refused":                        "refused the connection",
	"answer/lost":                           "closed the connection before it had answered",
	"answer/unreachable":                    "could not be reached",
	"answer/tls-failed":                     "made no encrypted connection",
	"answer/not-http":                       "answered something else than HTTP",
	"answer/too-long":                       "answered at too great length",
	"attachment/unnamed":                    "offers a file to be saved, without a name",
	"attachment/other":                      "offers a file to be saved",
	"type/other":                            "type of the page: none that there is",
	"http/malformed":                        "some of its header lines are none",
	"redirects/here":                        "redirects within the site",
	"redirects/away":                        "redirects to another site",
	"redirects/nowhere":                     "redirects to no web page",
	"redirects/loop":                        "redirects in a circle",
	"redirects/many":                        "redirects more than five times",
	"tls/none":                              "asked without encryption",
	"certificate/other":                     "certificate of an issuer without a name",
	"certificate/self-signed":               "certificate signed by itself",
	"certificate/unverified-expired":        "certificate out of date",
	"certificate/unverified-name":           "certificate of another name",
	"certificate/unverified-unknown-issuer": "certificate of an issuer that is not trusted",
	"certificate/unverified-other":          "certificate that does not verify",
	"certificate-names/none":                "certificate for no name",
	"certificate-names/one":                 "certificate for one name",
	"certificate-names/few":                 "certificate for two to five names",
	"certificate-names/many":                "certificate for six to 99 names",
	"certificate-names/hundred":             "certificate for a hundred names or more",
	"hsts/yes":                              "asks to be used with encryption only (HSTS)",
	"csp/yes":                               "has a content security policy",
	"cookie/yes":                            "sets a cookie",
	"http3/yes":                             "offers HTTP/3",
	"registered/day":                        "domain registered within a day of the visit",
	"registered/week":                       "domain registered within a week of the visit",
	"registered/month":                      "domain registered within a month of the visit",
	"registered/quarter":                    "domain registered within three months of the visit",
	"registered/year":                       "domain registered within a year of the visit",
	"registered/five-years":                 "domain registered within five years of the visit",
	"registered/older":                      "domain registered more than five years before the visit",
}
