package sms

var SignedByVonage = signedByVonage
