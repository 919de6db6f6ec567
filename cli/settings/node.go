package settings

import (
	"fmt"
	"os"

	"github.com/composerp/composerp/cli/capacity"
)

func checkMaxSlots(text string) error {
	_, err := capacity.ParseMaxSlots(text)
	return err
}

func checkLabels(text string) error {
	_, err := capacity.ParseLabels(text)
	return err
}

func checkSlots(text string) error {
	_, err := capacity.ParseSlots(text)
	return err
}

// Holder names this process in leases.
func Holder() string {
	host, _ := os.Hostname()
	return fmt.Sprintf("%s#%d", host, os.Getpid())
}
