// Package kustomize holds manifests of pawl-worker for kustomize; its test builds them.
package kustomize
