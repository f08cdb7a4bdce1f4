// Payloads as another program might write them: other ids, other fields.
package main

import (
	"encoding/gob"
	"io"
	"math/big"
	"reflect"
	"time"

	"github.com/cilium/cilium/pkg/monitor/payload"
)

// shiftTypes lets gob give away as many type ids: it hands them out in the order in which types are first used.
func shiftTypes(count int) {
	for size := 1; size <= count; size++ {
		unused := reflect.New(reflect.ArrayOf(size, reflect.TypeOf(int(0)))).Elem()
		if err := gob.NewEncoder(io.Discard).EncodeValue(unused); err != nil {
			panic(err)
		}
	}
}

// chain is a type within itself.
type chain struct {
	Name string
	Next *chain
}

// inner has structures and nothing but.
type inner struct {
	Empty struct{ Number int }
	Chain chain
}

// toForeign gives the payload's fields among others of every form that gob has.
func toForeign(from *payload.Payload, number int) any {
	gob.Register(chain{})
	type Payload struct {
		Note    string
		Type    int
		Weights map[string]float64
		Inner   inner
		Nested  map[int8][]map[string]bool
		Data    []byte
		Pair    [2]int16
		Point   complex128
		When    time.Time
		Large   *big.Int
		Any     any
		Lost    uint64
		Names   []string
		Blobs   [][]byte
		CPU     int
		Flag    bool
		Last    *chain
	}
	to := Payload{Type: from.Type, Data: from.Data, Lost: from.Lost, CPU: from.CPU}
	// Every field is there in some payloads and absent in others.
	there := func(every int) bool { return number%every == 0 }
	if there(2) {
		to.Note, to.Flag, to.Pair = "foreign", true, [2]int16{-1, int16(number)}
	}
	if there(3) {
		to.Weights = map[string]float64{"": 0, "half": 0.5, "much": 1e300}
		to.Last = &chain{Name: "a", Next: &chain{Next: &chain{Name: "c"}}}
	}
	if there(5) {
		to.Nested = map[int8][]map[string]bool{-5: {{"yes": true, "no": false}, nil}, 7: nil}
		to.Large = new(big.Int).Lsh(big.NewInt(int64(number)), 100)
		to.Point = complex(1.5, float64(number))
	}
	if there(7) {
		to.When = time.Unix(int64(number), 1)
		// A type that the stream knows: Go spreads the others over several messages, and ours refuses them.
		to.Any = chain{Name: "any", Next: &chain{Name: "thing"}}
		to.Inner.Empty.Number = number
	}
	if there(11) {
		to.Names, to.Blobs = []string{"", "b"}, [][]byte{nil, {0, 255}}
		to.Any = number
	}
	return to
}
