package main

// Headings of the list of commands.
const (
	groupAsk     = "Ask"
	groupLearn   = "Learn"
	groupOperate = "Operate"
	groupOther   = "Other"
)

// commands are all there are, in the order in which help lists them.
func commands() []*command {
	return []*command{
		scanCommand(),
		checkCommand(),
		explainCommand(),
		reportCommand(),
		reviewsCommand(),
		importCommand(),
		formatsCommand(),
		serveCommand(),
		evalCommand(),
		replayCommand(),
		logCommand(),
		keysCommand(),
		configCommand(),
		versionCommand(),
		helpCommand(),
	}
}
