package cmd

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/rackerlabs/understack/go/nautobot-token/kube"
	"github.com/rackerlabs/understack/go/nautobot-token/nautobot"
	"github.com/rackerlabs/understack/go/nautobot-token/provision"
)

// newProvisioner makes a Provisioner that connects once, for all Secrets.
func (s *settings) newProvisioner(cluster *kube.Client, log *slog.Logger) *provision.Provisioner {
	var mu sync.Mutex
	var client provision.Nautobot
	var token provision.Sensitive
	return &provision.Provisioner{
		Connect: func(ctx context.Context) (provision.Nautobot, provision.Sensitive, error) {
			mu.Lock()
			defer mu.Unlock()
			var err error
			if client == nil {
				client, token, err = s.nautobotClient(ctx, cluster, log)
			}
			return client, token, err
		},
		Hosts:   s.hosts,
		Policy:  s.rules,
		Cluster: s.cluster,
		Grace:   s.grace,
		DryRun:  s.dryRun,
		Now:     time.Now,
		Log:     log,
	}
}

// nautobotClient finds the superuser token. The client connects with its first
// request.
func (s *settings) nautobotClient(ctx context.Context, cluster *kube.Client, log *slog.Logger) (provision.Nautobot, provision.Sensitive, error) {
	token, err := s.superuserToken(ctx, cluster)
	if err != nil {
		return nil, token, err
	}
	return nautobot.New(nautobot.Config{
		URL: s.nautobotURL, Roots: s.roots, Token: token,
		UserAgent: userAgent(), Log: log, Patience: s.patience,
	}), token, nil
}
