package cmd

import (
	"os"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
	"github.com/spf13/pflag"
)

// environment names the variables. Their values stay text: the flags parse them.
// A variable without a flag holds a secret, or names a file with one, and never
// becomes a flag: everybody on the machine can see the arguments of a process.
type environment struct {
	URL                string `envconfig:"NAUTOBOT_URL" flag:"nautobot-url"`
	InsecureHTTP       string `envconfig:"NAUTOBOT_INSECURE_HTTP" flag:"insecure-http"`
	CAFile             string `envconfig:"NAUTOBOT_CA_FILE" flag:"nautobot-ca-file"`
	Hostnames          string `envconfig:"NAUTOBOT_HOSTNAMES" flag:"nautobot-hostname"`
	SuperuserSecret    string `envconfig:"NAUTOBOT_SUPERUSER_SECRET" flag:"superuser-secret"`
	SuperuserSecretKey string `envconfig:"NAUTOBOT_SUPERUSER_SECRET_KEY" flag:"superuser-secret-key"`
	Policy             string `envconfig:"NAUTOBOT_TOKEN_POLICY" flag:"policy"`
	Cluster            string `envconfig:"CLUSTER_NAME" flag:"cluster"`
	RotationGrace      string `envconfig:"ROTATION_GRACE" flag:"rotation-grace"`
	Timeout            string `envconfig:"TIMEOUT" flag:"timeout"`
	LogFormat          string `envconfig:"LOG_FORMAT" flag:"log-format"`
	LogLevel           string `envconfig:"LOG_LEVEL" flag:"log-level"`
	Token              string `envconfig:"NAUTOBOT_TOKEN"`
	TokenFile          string `envconfig:"NAUTOBOT_TOKEN_FILE"`
}

// secretsInEnvironment is the part of a help text about what has no flag.
const secretsInEnvironment = `The superuser token can be given in the environment instead of by its Secret,
as NAUTOBOT_TOKEN, or as NAUTOBOT_TOKEN_FILE, a file that holds it. It has no
flag: everybody on the machine can see the arguments of a process.`

// variables maps each flag to its variable.
func variables() map[string]string {
	names := map[string]string{"kubeconfig": "KUBECONFIG"} // client-go reads it
	for field := range reflect.TypeFor[environment]().Fields() {
		if flag := field.Tag.Get("flag"); flag != "" {
			names[flag] = field.Tag.Get("envconfig")
		}
	}
	return names
}

// flagAndVariable returns the names of a setting. No message about a setting shows
// its value: any of them may hold a secret by mistake.
func flagAndVariable(flag string) string {
	if variable := variables()[flag]; variable != "" {
		return "--" + flag + " (" + variable + ")"
	}
	return "--" + flag
}

// fromEnvironment sets every flag that the command line left alone. An empty
// variable counts as absent, except for the policy's: there it is a mistake
// that checkPolicy finds, because without a policy everything is allowed.
func fromEnvironment(flags *pflag.FlagSet) (environment, error) {
	var env environment
	if err := envconfig.Process("", &env); err != nil {
		return env, usageError{err}
	}
	env.Token, env.TokenFile = strings.TrimSpace(env.Token), strings.TrimSpace(env.TokenFile)
	for field, value := range reflect.ValueOf(env).Fields() {
		flag, text := field.Tag.Get("flag"), strings.TrimSpace(value.String())
		if flags.Lookup(flag) == nil || flags.Changed(flag) {
			continue
		}
		if _, set := os.LookupEnv(field.Tag.Get("envconfig")); text == "" && (!set || flag != "policy") {
			continue
		}
		if err := flags.Set(flag, text); err != nil {
			return env, flagError(err)
		}
	}
	return env, nil
}
