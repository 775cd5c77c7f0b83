package kube

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// The few Kubernetes types that the program needs, with the fields that it needs.
// All types of the core group would make up a tenth of the binary, and of the time
// it takes to start.

var coreGroup = schema.GroupVersion{Version: "v1"}

type secret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`
	Immutable         *bool             `json:"immutable,omitempty"`
	Data              map[string][]byte `json:"data,omitempty"`
	StringData        map[string]string `json:"stringData,omitempty"`
	Type              string            `json:"type,omitempty"`
}

type secretList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []secret `json:"items"`
}

type event struct {
	metav1.TypeMeta     `json:",inline"`
	metav1.ObjectMeta   `json:"metadata"`
	InvolvedObject      reference   `json:"involvedObject"`
	Reason              string      `json:"reason,omitempty"`
	Message             string      `json:"message,omitempty"`
	Source              eventSource `json:"source"`
	FirstTimestamp      metav1.Time `json:"firstTimestamp"`
	LastTimestamp       metav1.Time `json:"lastTimestamp"`
	Count               int32       `json:"count,omitempty"`
	Type                string      `json:"type,omitempty"`
	ReportingController string      `json:"reportingComponent"`
}

type eventSource struct {
	Component string `json:"component,omitempty"`
}

type reference struct {
	Kind            string    `json:"kind,omitempty"`
	Namespace       string    `json:"namespace,omitempty"`
	Name            string    `json:"name,omitempty"`
	UID             types.UID `json:"uid,omitempty"`
	APIVersion      string    `json:"apiVersion,omitempty"`
	ResourceVersion string    `json:"resourceVersion,omitempty"`
}

// DeepCopyObject makes an event a runtime.Object; nobody changes the copy.
func (e *event) DeepCopyObject() runtime.Object { c := *e; return &c }

// newScheme knows what is sent, and the Status of an error.
func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(coreGroup.WithKind("Event"), &event{})
	metav1.AddToGroupVersion(scheme, coreGroup)
	return scheme
}
