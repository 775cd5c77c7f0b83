package kube

import "time"

// Resource is a kind of object. T holds as much of it as we read.
type Resource[T any] struct{ group, plural string }

// The kinds that a check of the chain reads, with the fields that it needs. The
// libraries' types would make the program larger.
var (
	ConfigMaps             = Resource[ConfigMap]{"/api/v1", "configmaps"}
	Pods                   = Resource[Pod]{"/api/v1", "pods"}
	Events                 = Resource[Event]{"/api/v1", "events"}
	ResourceQuotas         = Resource[ResourceQuota]{"/api/v1", "resourcequotas"}
	PersistentVolumeClaims = Resource[PersistentVolumeClaim]{"/api/v1", "persistentvolumeclaims"}
	SecretObjects          = Resource[Object]{"/api/v1", "secrets"} // without their data
	SecretData             = Resource[DataObject]{"/api/v1", "secrets"}
	Jobs                   = Resource[Job]{"/apis/batch/v1", "jobs"}
	CronJobs               = Resource[CronJob]{"/apis/batch/v1", "cronjobs"}
	EventBuses             = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "eventbus"}
	EventSources           = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "eventsources"}
	Sensors                = Resource[ArgoObject]{"/apis/argoproj.io/v1alpha1", "sensors"}
)

// ExternalSecrets is the kind in one of its versions.
func ExternalSecrets(version string) Resource[ExternalSecret] {
	return Resource[ExternalSecret]{"/apis/external-secrets.io/" + version, "externalsecrets"}
}

// Object is what all objects have.
type Object struct {
	Metadata struct {
		Namespace, Name   string
		UID               string
		Labels            map[string]string
		CreationTimestamp time.Time
		DeletionTimestamp *time.Time
		ManagedFields     []struct {
			Time        time.Time
			Subresource string
		}
	}
}

// Path is the object's NAMESPACE/NAME.
func (o Object) Path() string { return o.Metadata.Namespace + "/" + o.Metadata.Name }

// Changed is when the object was last written to, except for its status.
func (o Object) Changed() time.Time {
	last := o.Metadata.CreationTimestamp
	for _, written := range o.Metadata.ManagedFields {
		if written.Subresource == "" && written.Time.After(last) {
			last = written.Time
		}
	}
	return last
}

// Condition is one condition of an object's status.
type Condition struct{ Type, Status, Reason, Message string }

// Conditions are those of an object's status.
type Conditions []Condition

// Get returns the condition of that type, or the zero value if there is none.
func (c Conditions) Get(kind string) Condition {
	for _, condition := range c {
		if condition.Type == kind {
			return condition
		}
	}
	return Condition{}
}

// ConfigMap is a ConfigMap.
type ConfigMap struct {
	Object
	Data map[string]string
}

// DataObject is a Secret whose data is not secret: a CA bundle.
type DataObject struct {
	Object
	Data map[string][]byte
}

// Pod is a Pod.
type Pod struct {
	Object
	Spec struct {
		Containers []struct{ Name, Image string }
		Volumes    []struct {
			PersistentVolumeClaim *struct{ ClaimName string }
		}
	}
	Status struct {
		Phase             string
		Reason            string
		Conditions        Conditions
		ContainerStatuses []ContainerStatus
	}
}

// ContainerStatus is what became of a container of a Pod.
type ContainerStatus struct {
	Name             string
	RestartCount     int
	State, LastState struct {
		Waiting    *struct{ Reason string }
		Terminated *Terminated
	}
}

// Terminated is how a container ended.
type Terminated struct {
	ExitCode int
	Reason   string
	Message  string
}

// Event is an Event.
type Event struct {
	Object
	Reason, Message string
}

// ResourceQuota is a quota.
type ResourceQuota struct {
	Object
	Status struct{ Hard, Used map[string]string }
}

// PersistentVolumeClaim is a claim for a volume.
type PersistentVolumeClaim struct {
	Object
	Spec   struct{ StorageClassName string }
	Status struct{ Phase string }
}

// Job is a Job.
type Job struct {
	Object
	Spec struct {
		TTLSecondsAfterFinished *int64
		Template                PodTemplate
	}
	Status struct {
		Active, Failed, Succeeded int
		CompletionTime            *time.Time
		Conditions                Conditions
	}
}

// CronJob is a CronJob, with what shows how its runs went.
type CronJob struct {
	Object
	Spec   struct{ Suspend bool }
	Status struct {
		Active                               []struct{ Name string }
		LastScheduleTime, LastSuccessfulTime time.Time
	}
}

// PodTemplate is the template of a Job's Pods.
type PodTemplate struct {
	Spec struct {
		Containers []Container
		Volumes    []struct {
			Name      string
			ConfigMap *struct{ Name string }
			Secret    *struct{ SecretName string }
		}
	}
}

// Container is one of a template.
type Container struct {
	Name string
	Args []string
	Env  []struct{ Name, Value string }
}

// ArgoObject is an EventBus, an EventSource or a Sensor.
type ArgoObject struct {
	Object
	Spec struct {
		EventBusName string
		Resource     map[string]struct{ Namespace, Group string }
		JetStream    *struct {
			Version  string
			Replicas *int
		}
	}
	Status struct{ Conditions Conditions }
}

// ExternalSecret is one of External Secrets Operator's.
type ExternalSecret struct {
	Object
	Spec struct {
		RefreshInterval string
		Target          struct{ Name string }
	}
	Status struct {
		RefreshTime time.Time
		Conditions  Conditions
	}
}

// TargetName is the name of the Secret that it makes.
func (e ExternalSecret) TargetName() string {
	if e.Spec.Target.Name != "" {
		return e.Spec.Target.Name
	}
	return e.Metadata.Name
}
