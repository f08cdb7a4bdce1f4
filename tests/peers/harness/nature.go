// What a value is, in gob's terms but without gob: for the other side to compare with what it has read.
package main

import (
	"encoding"
	"encoding/hex"
	"fmt"
	"reflect"
	"sort"
	"strconv"
)

// nature is an object with the value's form as its only key. Fields that gob leaves out are left out.
func nature(value reflect.Value) (map[string]any, error) {
	if value.Kind() != reflect.Pointer && value.CanAddr() {
		if marshaler, ok := value.Addr().Interface().(encoding.BinaryMarshaler); ok {
			bytes, err := marshaler.MarshalBinary()
			return map[string]any{"binary": hex.EncodeToString(bytes)}, err
		}
	}
	switch value.Kind() {
	case reflect.Pointer:
		return nature(value.Elem())
	case reflect.Bool:
		return map[string]any{"bool": value.Bool()}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"int": strconv.FormatInt(value.Int(), 10)}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"uint": strconv.FormatUint(value.Uint(), 10)}, nil
	case reflect.String:
		return map[string]any{"text": value.String()}, nil
	case reflect.Slice:
		if value.Type().Elem().Kind() == reflect.Uint8 {
			return map[string]any{"bytes": hex.EncodeToString(value.Bytes())}, nil
		}
		return listNature(value)
	case reflect.Map:
		return mapNature(value)
	case reflect.Struct:
		return structNature(value)
	}
	return nil, fmt.Errorf("a value of type %s", value.Type())
}

func listNature(value reflect.Value) (map[string]any, error) {
	list := make([]any, 0, value.Len())
	for i := 0; i < value.Len(); i++ {
		element, err := nature(value.Index(i))
		if err != nil {
			return nil, err
		}
		list = append(list, element)
	}
	return map[string]any{"list": list}, nil
}

// mapNature knows maps with keys of text only: pairs, sorted by the key.
func mapNature(value reflect.Value) (map[string]any, error) {
	keys := value.MapKeys()
	sort.Slice(keys, func(i, j int) bool { return keys[i].String() < keys[j].String() })
	pairs := make([]any, 0, len(keys))
	for _, key := range keys {
		element, err := nature(value.MapIndex(key))
		if err != nil {
			return nil, err
		}
		pairs = append(pairs, []any{map[string]any{"text": key.String()}, element})
	}
	return map[string]any{"map": pairs}, nil
}

func structNature(value reflect.Value) (map[string]any, error) {
	fields := map[string]any{}
	for i := 0; i < value.NumField(); i++ {
		if !isSent(value.Field(i)) {
			continue
		}
		field, err := nature(value.Field(i))
		if err != nil {
			return nil, err
		}
		fields[value.Type().Field(i).Name] = field
	}
	return map[string]any{"struct": fields}, nil
}

// isSent returns whether gob sends a structure's field: no zeros, no nil, no empty slices, but every structure.
func isSent(field reflect.Value) bool {
	switch field.Kind() {
	case reflect.Pointer:
		return !field.IsNil() && isSent(field.Elem())
	case reflect.Map:
		return !field.IsNil()
	case reflect.Slice:
		return field.Len() > 0
	case reflect.Struct:
		return true
	}
	return !field.IsZero()
}
