package provision

// ParseAccount is what the data of a Secret asks for, whatever its labels are.
// All problems come in one *Refusal, each naming the key, never the value.
func ParseAccount(secret Secret, hosts AllowedHosts) (Account, error) {
	secret.Labels = map[string]string{labelKey: labelValue}
	return parseAccount(secret, hosts)
}
