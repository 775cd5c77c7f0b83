package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
)

// natsVersion is the one that the chart asks for by default.
const natsVersion = "2.10.29"

// InstallArgoEvents installs Argo Events as its own manifest does, in the
// namespace argo-events, and returns when its controller is ready. The images
// are made here: that of Argo Events and of NATS of the programs as they are.
// In place of NATS's exporter of metrics and its reloader, which no test needs,
// there is a program that does nothing.
func (c *Cluster) InstallArgoEvents(ctx context.Context) error {
	built, err := buildAll(ctx, argoEvents, natsServer)
	if err != nil {
		return err
	}
	source, err := ModuleDir(ctx, argoEvents.dir, argoEvents.module)
	if err != nil {
		return err
	}
	manifest, err := os.ReadFile(filepath.Join(source, "manifests/install.yaml"))
	if err != nil {
		return err
	}
	image := regexp.MustCompile(`image: (\S*argo-events:\S+)`).FindSubmatch(manifest)
	if image == nil {
		return errors.New("the manifest of Argo Events names no image")
	}
	exporter := regexp.MustCompile(`natsio/prometheus-nats-exporter:[0-9.]+`).FindAll(manifest, -1)
	reloader := regexp.MustCompile(`natsio/nats-server-config-reloader:[0-9.]+`).FindAll(manifest, -1)
	if exporter == nil || reloader == nil {
		return errors.New("the manifest of Argo Events names no images for NATS")
	}
	images := []Image{
		{Name: string(image[1]), Files: map[string]string{"/bin/argo-events": built["argo-events"]}, Entrypoint: []string{"/bin/argo-events"}},
		{Name: "nats:" + natsVersion, Files: map[string]string{"/nats-server": built["nats-server"]}, Entrypoint: []string{"/nats-server"}},
	}
	// The manifest's last version is the newest.
	for _, name := range [][]byte{exporter[len(exporter)-1], reloader[len(reloader)-1]} {
		images = append(images, Image{Name: string(name), Files: map[string]string{"/pause": c.path("pause")}, Entrypoint: []string{"/pause"}})
	}
	for _, image := range images {
		if err := c.AddImage(ctx, image); err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
	}

	// There is no registry to pull from.
	manifest = bytes.ReplaceAll(manifest, []byte("imagePullPolicy: Always"), []byte("imagePullPolicy: IfNotPresent"))
	manifest = bytes.ReplaceAll(manifest, []byte("        env:\n"),
		[]byte("        env:\n        - {name: IMAGE_PULL_POLICY, value: IfNotPresent}\n"))
	namespace := "apiVersion: v1\nkind: Namespace\nmetadata: {name: argo-events}\n---\n"
	if err := c.Apply(ctx, append([]byte(namespace), manifest...)); err != nil {
		return err
	}
	return c.node.ready(ctx, func(ctx context.Context) error {
		answer, err := c.Get(ctx, "/apis/apps/v1/namespaces/argo-events/deployments/controller-manager")
		if err != nil {
			return err
		}
		var deployment struct {
			Status struct{ ReadyReplicas int }
		}
		if err := json.Unmarshal(answer, &deployment); err != nil {
			return err
		}
		if deployment.Status.ReadyReplicas == 0 {
			return errors.New("the controller of Argo Events is not ready")
		}
		return nil
	})
}
