// Package protofile compiles Protocol Buffers definitions as APISIX's protos hold
// them: the text of one file, or a FileDescriptorSet in Base64.
package protofile

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// fileName is how error texts call the text.
const fileName = "proto"

// maxDepth bounds how deep messages may be nested. Names grow with the depth, so
// that a short text could otherwise ask for much memory.
const maxDepth = 64

// Compile answers the files of a definition. Text may import Google's well-known
// types only. The error's text is the compiler's; when neither form can be read,
// that of the text.
func Compile(content string) ([]protoreflect.FileDescriptor, error) {
	file, errText := compileText(content)
	if errText == nil {
		return []protoreflect.FileDescriptor{file}, nil
	}
	if files, err := loadSet(content); err == nil {
		return files, nil
	}
	return nil, errText
}

func compileText(content string) (protoreflect.FileDescriptor, error) {
	if depth(content) > maxDepth {
		return nil, errors.New("messages are nested too deeply")
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			Accessor: protocompile.SourceAccessorFromMap(map[string]string{fileName: content}),
		}),
		MaxParallelism: 1,
	}
	files, err := compiler.Compile(context.Background(), fileName)
	if err != nil {
		return nil, err
	}
	return files[0], nil
}

// depth is at most how deep braces are nested in a text.
func depth(content string) (deepest int) {
	now := 0
	for _, c := range []byte(content) {
		switch c {
		case '{':
			now++
			deepest = max(deepest, now)
		case '}':
			now = max(now-1, 0)
		}
	}
	return deepest
}

func loadSet(content string) ([]protoreflect.FileDescriptor, error) {
	data, err := base64.StdEncoding.DecodeString(strings.TrimSpace(content))
	if err != nil {
		return nil, err
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(data, set); err != nil {
		return nil, err
	}
	registry, err := protodesc.FileOptions{AllowUnresolvable: false}.NewFiles(set)
	if err != nil {
		return nil, err
	}
	return inOrder(registry, set)
}

// inOrder answers the files of a set as the set lists them.
func inOrder(registry *protoregistry.Files, set *descriptorpb.FileDescriptorSet) ([]protoreflect.FileDescriptor, error) {
	var files []protoreflect.FileDescriptor
	for _, f := range set.GetFile() {
		file, err := registry.FindFileByPath(f.GetName())
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	if files == nil {
		return nil, errors.New("no file")
	}
	return files, nil
}
