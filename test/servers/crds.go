package servers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"sigs.k8s.io/yaml"
)

// CRDs are the custom resource definitions of another project. They are files
// in its Go module.
type CRDs struct {
	tools  string // the module below the root of this one that pins it; "": version and sum do
	module string
	files  string // a pattern

	version, sum string
}

// Of projects whose programs are built as well the version is that of the
// program. The others are downloaded for these files alone.
var (
	ArgoEventsCRDs = CRDs{
		tools: argoEvents.dir, module: argoEvents.module,
		files: "manifests/base/crds/argoproj.io_*.yaml",
	}
	ExternalSecretsCRDs = CRDs{
		tools: externalSecrets.dir, module: externalSecrets.module,
		files: "config/crds/bases/external-secrets.io_*.yaml",
	}
	ArgoCDCRDs = CRDs{
		module: "github.com/argoproj/argo-cd/v3", version: "v3.2.0", sum: "h1:m2eGAV+nXQGgzZbH5SyJD5laaPW27mzWXBrgisUHY/0=",
		files: "manifests/crds/application*-crd.yaml",
	}
	SealedSecretsCRDs = CRDs{
		module: "github.com/bitnami-labs/sealed-secrets", version: "v0.32.2", sum: "h1:YP3g8JLQqm482GbkaGLmO9AzelOsRaVSs41wv15CeB8=",
		files: "helm/sealed-secrets/crds/*.yaml",
	}
)

// InstallCRDs makes custom resource definitions and returns when the API
// server serves all of them.
func (c *ControlPlane) InstallCRDs(ctx context.Context, projects ...CRDs) error {
	for _, project := range projects {
		dir, err := project.dir(ctx)
		if err != nil {
			return fmt.Errorf("CRDs of %s: %w", project.module, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, project.files))
		if err != nil || len(files) == 0 {
			return fmt.Errorf("CRDs of %s: no %s in %s: %w", project.module, project.files, dir, err)
		}
		for _, file := range files {
			if err := c.installCRD(ctx, file); err != nil {
				return err
			}
		}
	}
	return nil
}

// dir is the directory of the module's source.
func (p CRDs) dir(ctx context.Context) (string, error) {
	if p.tools != "" {
		return ModuleDir(ctx, p.tools, p.module)
	}
	answer, err := goCommand(ctx, ".", "mod", "download", "-json", p.module+"@"+p.version)
	if err != nil {
		return "", err
	}
	var module struct{ Dir, Sum string }
	if err := json.Unmarshal([]byte(answer), &module); err != nil {
		return "", err
	}
	if module.Sum != p.sum {
		return "", fmt.Errorf("%s has the sum %s, want %s", p.version, module.Sum, p.sum)
	}
	return module.Dir, nil
}

func (c *ControlPlane) installCRD(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var crd struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Served bool
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := c.Apply(ctx, text); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		if !version.Served {
			continue
		}
		if err := c.untilServed(ctx, crd.Spec.Group+"/"+version.Name, crd.Spec.Names.Kind); err != nil {
			return err
		}
	}
	return nil
}

// untilServed waits for a kind of object, which the API server learns of a
// moment after its definition is made.
func (c *ControlPlane) untilServed(ctx context.Context, apiVersion, kind string) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	for {
		_, err := c.resourcePath(ctx, apiVersion, kind, "")
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// DryRun has the API server check objects as Apply would make them, and stores
// nothing. Unknown and duplicate keys are errors.
func (c *ControlPlane) DryRun(ctx context.Context, manifests []byte) error {
	return c.eachObject(ctx, manifests, func(objectPath string, document []byte) error {
		_, err := c.send(ctx, http.MethodPatch, objectPath+"?fieldManager=test&force=true&dryRun=All&fieldValidation=Strict",
			"application/apply-patch+yaml", document)
		return err
	})
}
