module headlight.example/bench

go 1.26

require headlight.example v0.0.0

replace headlight.example => ../
