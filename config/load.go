package config

import (
	"fmt"
	"io"
	"os"
)

// maxFile is the most bytes that a configuration may have: far more than ten
// thousand sites need, and little enough to read whole.
const maxFile = 8 << 20

// Load reads the configuration in the file at path, with the process's
// environment. The error is for I/O only: everything wrong with the content is
// in the problems, all of it at once, in the order of the file. The Config is
// not nil without an error, and is fit for use unless Failed(problems).
func Load(path string) (*Config, []Problem, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxFile+1)) // one byte more, so that Parse sees that it is too long
	if err != nil {
		return nil, nil, fmt.Errorf("read the configuration: %w", err)
	}
	c, problems := Parse(path, src, os.LookupEnv)
	return c, problems, nil
}
