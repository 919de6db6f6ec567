// Package kubernetes checks the manifests of deploy/kubernetes offline: it builds each overlay as `kubectl apply -k`
// does and decodes every document strictly into the types of Kubernetes and KEDA. It has tests only.
package kubernetes
