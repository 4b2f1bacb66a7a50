package secret

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"millrace/internal/sigv4"
	"millrace/resource"
)

func init() { register("aws", openAWS) }

// aws is AWS Secrets Manager. The first part of a path is the name of a secret, the
// rest the key in the JSON object that it holds; without a key the whole text is
// meant. Since names may have slashes, more of the path is taken for the name if
// there is no such secret.
type aws struct {
	resource.AWSSecret
	client *client
}

func openAWS(conf []byte, c *client) (manager, error) {
	a := &aws{client: c}
	if err := json.Unmarshal(conf, &a.AWSSecret); err != nil {
		return nil, errNotReadable
	}
	a.Region = cmp.Or(a.Region, "us-east-1")
	a.EndpointURL = strings.TrimRight(cmp.Or(a.EndpointURL, "https://secretsmanager."+a.Region+".amazonaws.com"), "/")
	return a, nil
}

func (a *aws) parts(path string) ([]part, error) {
	if strings.HasPrefix(path, "/") {
		return nil, errors.New("can't find main key, key: " + path)
	}
	var parts []part
	for i := range path {
		if path[i] == '/' {
			parts = append(parts, part{path[:i], path[i+1:]})
		}
	}
	return append(parts, part{path, ""}), nil
}

func (a *aws) fetch(ctx context.Context, document string) (string, error) {
	const failed = "failed to retrieve data from aws secret manager: %w"
	body, err := json.Marshal(map[string]string{"SecretId": document, "VersionStage": "AWSCURRENT"})
	if err != nil {
		return "", err
	}
	r, err := newRequest(ctx, "POST", a.EndpointURL+"/", body)
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "secretsmanager.GetSecretValue")
	sigv4.Sign(r, body, sigv4.Credentials{AccessKeyID: a.AccessKeyID, SecretAccessKey: a.SecretAccessKey, SessionToken: a.SessionToken},
		sigv4.Scope{Region: a.Region, Service: "secretsmanager", Time: time.Now()})
	status, answer, err := do(a.client.of(true), r)
	if err != nil {
		return "", fmt.Errorf(failed, err)
	}
	if status != http.StatusOK {
		return "", fmt.Errorf(failed, awsError(status, answer))
	}
	return awsValue(answer)
}

// awsError says why a request was refused, by the name that AWS has for it.
func awsError(status int, answer []byte) error {
	var fault struct {
		Type string `json:"__type"`
	}
	_ = json.Unmarshal(answer, &fault) // then the status says it all
	name := fault.Type[strings.LastIndexByte(fault.Type, '#')+1:]
	switch {
	case name == "":
		return badStatus(status)
	case name == "ResourceNotFoundException":
		return &absentError{name}
	}
	return fmt.Errorf("invalid status code %d, %.100s", status, name)
}

func awsValue(answer []byte) (string, error) {
	var secret struct {
		Text   *string `json:"SecretString"`
		Binary []byte  `json:"SecretBinary"`
	}
	if err := json.Unmarshal(answer, &secret); err != nil {
		return "", errors.New("failed to decode result of aws secret manager")
	}
	if secret.Text != nil {
		return *secret.Text, nil
	}
	return string(secret.Binary), nil
}
