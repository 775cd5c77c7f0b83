package main

import (
	"bytes"
	"fmt"
	"image/color"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// A panel is a bar chart. Its bars are in groups: one colour for each series.
type panel struct {
	title, unit string
	groups      []string    // from top to bottom
	legend      []string    // names of the series; nil: not shown
	values      [][]float64 // of each series, by group; 0: none
}

var colours = []color.Color{color.RGBA{0x1f, 0x6f, 0xb4, 0xff}, color.RGBA{0xe0, 0x8a, 0x1e, 0xff}}

// picture draws all panels, three in a row.
func picture(r results, path string) error {
	panels := r.panels()
	const columns = 3
	rows := (len(panels) + columns - 1) / columns
	width, height := vg.Points(900), vg.Points(210)*vg.Length(rows)

	var canvas interface {
		vg.CanvasSizer
		vg.CanvasWriterTo
	}
	if filepath.Ext(path) == ".png" {
		canvas = vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(96))}
	} else {
		canvas = vgsvg.New(width, height)
	}
	all := draw.New(canvas)
	tiles := draw.Tiles{Rows: rows, Cols: columns, PadX: vg.Points(14), PadY: vg.Points(14), PadTop: vg.Points(6), PadBottom: vg.Points(6), PadLeft: vg.Points(6), PadRight: vg.Points(10)}
	all.SetColor(color.White)
	all.Fill(all.Rectangle.Path())
	for i, p := range panels {
		one, err := p.plot()
		if err != nil {
			return err
		}
		one.Draw(tiles.At(all, i%columns, i/columns))
	}
	var drawn bytes.Buffer
	if _, err := canvas.WriteTo(&drawn); err != nil {
		return err
	}
	const family = "font-family:Liberation Sans"
	named := bytes.ReplaceAll(drawn.Bytes(), []byte(family), []byte(family+",Arial,Helvetica,sans-serif"))
	return os.WriteFile(path, named, 0o644)
}

func (r results) panels() []panel {
	kinds := slices.DeleteFunc([]string{rerun, creation}, func(kind string) bool { return r.oneSecret(kind) == nil })
	who := []string{ourProgram, bareLoop, bashScript, playbook}
	legend := func(p panel) panel { p.legend = kinds; return p }
	one := func(title, unit string, pick func(figure) float64) panel {
		p := panel{title: title, unit: unit, groups: who}
		for _, kind := range kinds {
			var values []float64
			for _, f := range r.oneSecret(kind) {
				values = append(values, pick(f))
			}
			p.values = append(p.values, values)
		}
		return p
	}
	many := panel{title: "1,000 Secrets: CPU of Nautobot", unit: "s", groups: []string{"sync", "bare loop", "sync --quick", "bare loop (quick)"}, values: [][]float64{nil}}
	for _, kind := range []string{"^sync, Nautobot .*Secrets$", "^sync --quick, Nautobot .*Secrets$"} {
		ours, _ := r.find(kind, ourProgram)
		bare, _ := r.find(kind, bareLoop)
		many.values[0] = append(many.values[0], ours.Server.Median, bare.Server.Median)
	}
	chain := latencySpread(r.latency, func(l latency) float64 { return l.chain })
	empty := latencySpread(r.latency, func(l latency) float64 { return l.empty })
	panels := []panel{
		legend(one("One Secret: own CPU", "ms", func(f figure) float64 { return 1000 * f.CPU.Median })),
		one("One Secret: wall", "s", func(f figure) float64 { return f.Wall.Median }),
		one("One Secret: peak memory", "MB", func(f figure) float64 { return f.Memory.Median }),
		one("One Secret: requests to Nautobot", "requests", func(f figure) float64 { return float64(f.ToNautobot) }),
		many,
	}
	if len(r.latency) > 0 {
		panels = append(panels, panel{title: "From Secret to token", unit: "s", groups: []string{"Secret to token", "empty Job, seen to end"}, values: [][]float64{{chain.Median, empty.Median}}})
	}
	return panels
}

// roomy leaves room for whoever has only fonts with wider letters.
func roomy(name string) string { return name + strings.Repeat(" ", 1+len(name)/3) }

func label(value float64, unit string) string {
	if unit == "requests" {
		return fmt.Sprint(value)
	}
	return number(value)
}

func (p panel) plot() (*plot.Plot, error) {
	sans := font.Font{Typeface: "Liberation", Variant: "Sans"}
	plot.DefaultFont, plotter.DefaultFont = sans, sans
	chart := plot.New()
	chart.Title.Text = p.title
	chart.Title.TextStyle.Font.Size = vg.Points(12)
	chart.X.Label.Text = p.unit
	chart.X.Min = 0
	chart.Y.LineStyle.Width = 0
	chart.Y.Tick.LineStyle.Width = 0
	most := 0.0
	thickness := vg.Points(22) / vg.Length(max(1, len(p.values)))
	names := make([]string, len(p.groups)) // the axis goes upwards
	for i, name := range p.groups {
		names[len(names)-1-i] = roomy(name)
	}
	for i, series := range p.values {
		upwards := make(plotter.Values, len(series))
		labels := plotter.XYLabels{}
		offset := thickness * vg.Length(float64(len(p.values)-1)/2-float64(i))
		for j, value := range series {
			upwards[len(series)-1-j] = value
			most = max(most, value)
			labels.XYs = append(labels.XYs, plotter.XY{X: value, Y: float64(len(series) - 1 - j)})
			labels.Labels = append(labels.Labels, label(value, p.unit))
		}
		bars, err := plotter.NewBarChart(upwards, thickness)
		if err != nil {
			return nil, err
		}
		bars.Horizontal, bars.Color, bars.Offset = true, colours[i], offset
		bars.LineStyle.Width = 0
		values, err := plotter.NewLabels(labels)
		if err != nil {
			return nil, err
		}
		values.Offset = vg.Point{X: vg.Points(3), Y: offset}
		for j := range values.TextStyle {
			values.TextStyle[j].YAlign = text.YCenter
			values.TextStyle[j].Font.Size = vg.Points(8)
		}
		chart.Add(bars, values)
		if p.legend != nil {
			chart.Legend.Add(roomy(p.legend[i]), bars)
		}
	}
	chart.NominalY(names...)
	chart.Y.Tick.Label.Font.Size = vg.Points(9)
	chart.X.Tick.Label.Font.Size = vg.Points(9)
	chart.X.Max = most * 1.2 // for the numbers
	room := max(0.6, float64(4-len(names))/2)
	chart.Y.Min, chart.Y.Max = -room, float64(len(names)-1)+room
	chart.Legend.Top = true
	chart.Legend.TextStyle.Font.Size = vg.Points(9)
	chart.Legend.Padding = vg.Points(2)
	return chart, nil
}
