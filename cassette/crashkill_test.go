package cassette

const recorderArg = "x"

func recorderMain([]string) {}
