package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/serge-net/serge-net/certs"
)

func caCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ca",
		Short: "the CA that proxy keeps: show, export, install, uninstall",
		Long: `proxy signs its certificates with a CA of its own, made when it is first needed.
Its key is readable by you alone and never leaves its directory. run needs none
of this: it makes a CA for each run and forgets it.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return hint(fmt.Errorf("unknown command %q", args[0]), "serge-net help ca")
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	for _, sub := range []struct {
		use, short string
		run        func(k *keptCA) error
	}{
		{"show", "tell whose it is, where it is, until when, and whether this system trusts it", (*keptCA).show},
		{"export", "print the certificate (PEM), without the key", (*keptCA).export},
		{"path", "print the path of the certificate's file (PEM), for curl --cacert and the like", (*keptCA).path},
		{"install", "have this system's programs trust it", (*keptCA).install},
		{"uninstall", "have this system's programs forget it", (*keptCA).uninstall},
	} {
		var dir string
		s := &cobra.Command{Use: sub.use, Short: sub.short, Args: noArgs, RunE: withConfig(func(c *cobra.Command, _ []string) error {
			d, err := caDir(dir)
			if err != nil {
				return err
			}
			return sub.run(&keptCA{dir: d, cmd: c})
		})}
		registerCADir(s, &dir)
		c.AddCommand(s)
	}
	return c
}

// registerCADir declares --ca-dir on c.
func registerCADir(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "ca-dir", "", "the `DIR` that the CA is kept in (default "+shownCADir()+")")
	c.MarkFlagDirname("ca-dir")
}

// shownCADir is the default as the help text shows it.
func shownCADir() string {
	if runtime.GOOS == "linux" {
		return "$XDG_DATA_HOME/serge-net, else ~/.local/share/serge-net"
	}
	return "serge-net in the user's directory for application data"
}

// caDir is dir, or where the CA of the user is kept by default: with what
// programs keep for a user, as it is neither a setting to copy to other machines
// nor a cache to be cleared. Under sudo the user is the one who called it.
func caDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	if runtime.GOOS != "linux" {
		base, err := os.UserConfigDir() // ~/Library/Application Support, %AppData%
		if err != nil {
			return "", hint(fmt.Errorf("the CA's directory: %w", err), "name one: --ca-dir DIR")
		}
		return filepath.Join(base, "serge-net"), nil
	}
	if base := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(base) { // a relative one is to be ignored: XDG Base Directory Specification
		return filepath.Join(base, "serge-net"), nil
	}
	home, err := os.UserHomeDir()
	if uid := os.Getenv("SUDO_UID"); uid != "" && os.Geteuid() == 0 {
		if u, lookup := user.LookupId(uid); lookup == nil {
			home, err = u.HomeDir, nil
		}
	}
	if err != nil {
		return "", hint(fmt.Errorf("the CA's directory: %w", err), "name one: --ca-dir DIR")
	}
	return filepath.Join(home, ".local", "share", "serge-net"), nil
}

// keepCA is the CA kept in dir, made if there is none, and whoever called sudo's.
func keepCA(dir string) (*certs.CA, bool, error) {
	paths := append(upTo(dir), certs.KeptPaths(dir)...)
	before := footprintOf(paths)
	ca, made, err := certs.Keep(dir)
	before.own(paths)
	return ca, made, caHint(dir, err)
}

// caHint adds what can be done about err.
func caHint(dir string, err error) error {
	key := certs.KeptPaths(dir)[0]
	switch {
	case err == nil:
		return nil
	case errors.Is(err, certs.ErrExposed):
		return hint(err, "if nobody has read it: chmod 600 %s; else serge-net ca uninstall, and remove it", shellWords([]string{key}))
	case errors.Is(err, certs.ErrExpired):
		return hint(err, "remove %s and %s: the next one is made when it is needed", certs.KeptPaths(dir)[0], certs.KeptPaths(dir)[1])
	case errors.Is(err, fs.ErrNotExist):
		return hint(fmt.Errorf("no CA is kept in %s", dir), "serge-net proxy, serge-net ca export and serge-net ca install make one")
	}
	return hint(err, "--ca-dir DIR names a directory that you may write")
}

// A keptCA is a command about the CA in dir.
type keptCA struct {
	dir string
	cmd *cobra.Command
}

// printf writes what was asked for.
func (k *keptCA) printf(format string, args ...any) {
	fmt.Fprintf(k.cmd.OutOrStdout(), format, args...)
}

// show tells of the CA.
func (k *keptCA) show() error {
	ca, err := certs.Kept(k.dir)
	if err != nil {
		return caHint(k.dir, err)
	}
	cert := ca.Cert()
	k.printf("subject      %s\nsha256       %s\nvalid until  %s\nkey          %s\ncertificate  %s\n",
		cert.Subject, ca.Fingerprint(), cert.NotAfter.UTC().Format(time.DateOnly), certs.KeptPaths(k.dir)[0], certs.CertPath(k.dir))
	store, err := k.store(ca)
	switch {
	case err != nil:
		k.printf("trusted      not known: %v\n", err)
	case store.Anchor == "":
		k.printf("trusted      not known: ask %s\n", store.Name)
	default:
		k.printf("trusted      %s, by %s (%s)\n", yesNo(store.Holds(ca)), store.Name, store.Anchor)
	}
	return nil
}

// export prints the certificate.
func (k *keptCA) export() error {
	ca, _, err := keepCA(k.dir)
	if err != nil {
		return err
	}
	k.printf("%s", ca.PEM())
	return nil
}

// path prints where the certificate is.
func (k *keptCA) path() error {
	if _, _, err := keepCA(k.dir); err != nil {
		return err
	}
	k.printf("%s\n", certs.CertPath(k.dir))
	return nil
}

// install has the system trust the CA.
func (k *keptCA) install() error {
	ca, _, err := keepCA(k.dir)
	if err != nil {
		return err
	}
	store, err := k.changeable(ca, "install")
	if err != nil {
		return err
	}
	if err := store.Install(ca, k.runs); err != nil {
		return fmt.Errorf("install the CA: %w", err)
	}
	k.printf("%s trusts %s until %s; serge-net ca uninstall undoes it\n", store.Name, ca.Cert().Subject.CommonName, ca.Cert().NotAfter.UTC().Format(time.DateOnly))
	return nil
}

// uninstall has the system forget the CA.
func (k *keptCA) uninstall() error {
	ca, err := certs.Kept(k.dir)
	if err != nil {
		return caHint(k.dir, err)
	}
	store, err := k.changeable(ca, "uninstall")
	if err != nil {
		return err
	}
	if store.Anchor != "" && !store.Holds(ca) {
		k.printf("%s does not hold it: nothing to do\n", store.Name)
		return nil
	}
	if err := store.Uninstall(k.runs); err != nil {
		return fmt.Errorf("uninstall the CA: %w", err)
	}
	k.printf("%s does not trust %s any more\n", store.Name, ca.Cert().Subject.CommonName)
	return nil
}

// store is this system's.
func (k *keptCA) store(ca *certs.CA) (certs.Store, error) {
	return certs.SystemStore(runtime.GOOS, ca, certs.CertPath(k.dir), func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	})
}

// changeable is this system's store, if this user may change it by the command do.
func (k *keptCA) changeable(ca *certs.CA, do string) (certs.Store, error) {
	store, err := k.store(ca)
	if err != nil {
		return store, hint(err, "tell each client: serge-net ca path prints the certificate's file")
	}
	if store.Root && os.Geteuid() != 0 {
		exe, err := os.Executable()
		if err != nil {
			exe = "serge-net"
		}
		return store, hint(fmt.Errorf("%s the CA: %s are the superuser's", do, store.Name),
			"sudo %s", shellWords([]string{exe, "ca", do, "--ca-dir", k.dir}))
	}
	tool := store.Trust[0]
	if _, err := exec.LookPath(tool); err != nil {
		return store, hint(fmt.Errorf("%s the CA: no command %s", do, tool), "install what has it (Debian: apt-get install ca-certificates)")
	}
	return store, nil
}

// runs runs argv, and prints what it says only if it fails.
func (k *keptCA) runs(argv []string) error {
	cmd := exec.CommandContext(k.cmd.Context(), argv[0], argv[1:]...)
	cmd.Stdin = os.Stdin
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", shellWords(slices.Clone(argv)), err, out)
	}
	return nil
}
