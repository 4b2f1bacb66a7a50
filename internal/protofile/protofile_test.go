package protofile

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
)

const hello = `syntax = "proto3";
package helloworld;
import "google/protobuf/empty.proto";
service Greeter { rpc SayHello (HelloRequest) returns (google.protobuf.Empty) {} }
message HelloRequest { string name = 1; }`

func TestCompile(t *testing.T) {
	files, err := Compile(hello)
	if err != nil {
		t.Fatal(err)
	}
	if got := files[0].Services().ByName("Greeter").Methods().Get(0).FullName(); got != "helloworld.Greeter.SayHello" {
		t.Errorf("method %s", got)
	}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(files[0].Imports().Get(0).FileDescriptor), protodesc.ToFileDescriptorProto(files[0]),
	}}
	raw, err := proto.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Compile(base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	if len(again) != 2 || again[1].Messages().Get(0).FullName() != "helloworld.HelloRequest" {
		t.Errorf("files of a set: %v", again)
	}
}

func TestErrors(t *testing.T) {
	for content, want := range map[string]string{
		`message {`:                                       "proto:1:9: syntax error",
		`syntax = "proto3"; import "a.proto";`:            "a.proto",
		`syntax = "proto3"; message A { B b=1;}`:          "unknown type B",
		`message A {` + strings.Repeat("message A{", 100): "nested too deeply",
		"AAAA": "syntax error",
		"":     "",
	} {
		_, err := Compile(content)
		if err == nil && want != "" || err != nil && (want == "" || !strings.Contains(err.Error(), want)) {
			t.Errorf("%.40q: got %v, want %s", content, err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(hello)
	f.Add("CgA=")
	f.Fuzz(func(t *testing.T, content string) {
		if files, err := Compile(content); err == nil && len(files) == 0 {
			t.Error("neither files nor an error")
		}
	})
}
