package peer

import "encoding/json"

// encode returns the arguments of a job as JSON, as every client does.
func encode(number int) []byte {
	data, err := json.Marshal(argsOf(number))
	if err != nil {
		panic(err) // two plain fields
	}
	return data
}

// decode reads the arguments as every handler does, and notes the run.
func decode(data []byte, run func(int)) error {
	var a Args
	if err := json.Unmarshal(data, &a); err != nil {
		return err
	}
	run(a.N - Base)
	return nil
}
