package cli

import (
	"bufio"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/gobellhop/bellhop"
	"github.com/gobellhop/bellhop/jobs/httpjob"
	"github.com/gobellhop/bellhop/jobs/mailjob"
)

// kindFlags set up the built-in kinds of jobs.
type kindFlags struct {
	AllowPrivateAddresses bool   `help:"Let http.request call loopback, private and other addresses that are not public." from:"BELLHOP_ALLOW_PRIVATE_ADDRESSES" group:"kinds"`
	SigningSecretsFile    string `help:"A file with the secrets by which http.request signs: a line NAME = whsec_… each." placeholder:"FILE" from:"BELLHOP_SIGNING_SECRETS_FILE" group:"kinds"`
	SMTPFile              string `name:"smtp-file" help:"The mail server for mail.send: a file of lines NAME = VALUE for host, port, tls, username, password, hello. BELLHOP_SMTP_HOST and so on, and BELLHOP_SMTP_PASSWORD_FILE, win over it." placeholder:"FILE" from:"BELLHOP_SMTP_FILE" group:"kinds"`
}

// definitions are the built-in kinds.
func definitions() []bellhop.Kinded { return []bellhop.Kinded{httpjob.Request, mailjob.Send} }

// builtIn are the handlers of the built-in kinds.
type builtIn struct {
	handlers []bellhop.Handler
	missing  []string // what other kinds need
}

// build makes the handlers. mail.send has none without a server: its jobs wait for a process that has one.
func (f *kindFlags) build(a *app) (*builtIn, error) {
	secrets, err := readSettings("the signing secrets", f.SigningSecretsFile)
	if err != nil {
		return nil, err
	}
	for _, s := range secrets {
		for secret := range strings.FieldsSeq(s) {
			a.hide(secret)
		}
	}
	call, err := httpjob.New(httpjob.Config{AllowPrivateAddresses: f.AllowPrivateAddresses, Secrets: secrets})
	if err != nil {
		return nil, refused("%w", err)
	}
	built := &builtIn{handlers: []bellhop.Handler{call}}
	smtp, err := f.smtp(a)
	if err != nil {
		return nil, err
	}
	if smtp.Host == "" {
		built.missing = append(built.missing, mailjob.Kind+" needs a mail server: BELLHOP_SMTP_HOST, or --smtp-file")
		return built, nil
	}
	mail, err := mailjob.New(smtp)
	if err != nil {
		return nil, refused("%w", err)
	}
	built.handlers = append(built.handlers, mail)
	return built, nil
}

// smtpSettings are the names of the settings of the mail server, in a file, and after BELLHOP_SMTP_ in the environment.
var smtpSettings = []string{"host", "port", "tls", "username", "password", "hello"}

// smtp reads the settings of the mail server; its host is empty if there are none.
func (f *kindFlags) smtp(a *app) (mailjob.Config, error) {
	var c mailjob.Config
	settings, err := readSettings("the mail server's settings", f.SMTPFile)
	if err != nil {
		return c, err
	}
	for _, name := range sortedKeys(settings) {
		if !slices.Contains(smtpSettings, name) {
			return c, refused("read the mail server's settings: %s: %.40q is unknown; known are %s", f.SMTPFile, name, strings.Join(smtpSettings, ", "))
		}
	}
	for _, name := range smtpSettings {
		if value := a.env("BELLHOP_SMTP_" + strings.ToUpper(name)); value != "" {
			settings[name] = value
		}
	}
	if name := a.env("BELLHOP_SMTP_PASSWORD_FILE"); name != "" {
		if settings["password"], err = readSecret("the mail server's password", name); err != nil {
			return c, err
		}
	}
	a.hide(settings["password"])
	c = mailjob.Config{
		Host: settings["host"], TLS: mailjob.TLSPolicy(settings["tls"]), Hello: settings["hello"],
		Username: settings["username"], Password: settings["password"],
	}
	if port := settings["port"]; port != "" {
		if c.Port, err = strconv.Atoi(port); err != nil {
			return c, refused("the mail server's port %.20q is not a number", port)
		}
	}
	if c.Host == "" && len(settings) > 0 {
		return c, refused("the mail server has settings but no host: set BELLHOP_SMTP_HOST")
	}
	return c, nil
}

// readSettings reads a file of lines "name = value"; empty lines and those that begin with # are passed over. Without a
// file there are none. Errors quote no value.
func readSettings(what, name string) (map[string]string, error) {
	settings := map[string]string{}
	if name == "" {
		return settings, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, refused("read %s: %w", what, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if _, twice := settings[key]; !found || key == "" || value == "" || twice {
			return nil, refused("read %s: %s, line %d: want NAME = VALUE, and each name once", what, name, n)
		}
		settings[key] = value
	}
	if err := lines.Err(); err != nil {
		return nil, refused("read %s: %s: %w", what, name, err)
	}
	return settings, nil
}
