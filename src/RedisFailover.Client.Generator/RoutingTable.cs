using System;
using System.Collections.Generic;
using Microsoft.CodeAnalysis.Text;

namespace RedisFailover.Client.Generator;

/// <summary>
/// routing.txt as data. A line is "class member [COMMAND ...]"; "-" stands for no member. What is not listed writes.
/// </summary>
internal sealed class RoutingTable : IEquatable<RoutingTable>
{
    private static readonly char[] s_blank = { ' ', '\t' };

    private readonly string _text;

    private RoutingTable(string text, List<Row> rows)
    {
        _text = text;
        Rows = rows;
        foreach (Row row in rows)
        {
            if (row.Member != "-")
            {
                ClassOf[row.Member] = row.Class;
            }
        }
    }

    public static RoutingTable Empty { get; } = new("", new List<Row>());

    public List<Row> Rows { get; }

    public Dictionary<string, string> ClassOf { get; } = new(StringComparer.Ordinal);

    /// <summary>Reads the table; a wrong line becomes a row of class "?" that the generator reports.</summary>
    public static RoutingTable Parse(SourceText? source)
    {
        if (source is null)
        {
            return Empty;
        }

        var rows = new List<Row>();
        foreach (TextLine line in source.Lines)
        {
            string text = line.ToString();
            int comment = text.IndexOf('#');
            string[] words = (comment < 0 ? text : text.Substring(0, comment)).Split(s_blank, StringSplitOptions.RemoveEmptyEntries);
            if (words.Length == 0)
            {
                continue;
            }

            string? kind = words[0] switch { "read" => "Read", "either" => "Either", "write" => "Write", _ => null };
            if (kind is null || words.Length < 2)
            {
                rows.Add(new Row("?", text, Array.Empty<string>()));
                continue;
            }

            var commands = new string[words.Length - 2];
            Array.Copy(words, 2, commands, 0, commands.Length);
            rows.Add(new Row(kind, words[1], commands));
        }

        return new RoutingTable(source.ToString(), rows);
    }

    public bool Equals(RoutingTable? other) => other is not null && _text == other._text;

    public override bool Equals(object? obj) => Equals(obj as RoutingTable);

    public override int GetHashCode() => StringComparer.Ordinal.GetHashCode(_text);

    internal sealed class Row
    {
        public Row(string kind, string member, string[] commands)
        {
            Class = kind;
            Member = member;
            Commands = commands;
        }

        public string Class { get; }

        public string Member { get; }

        public string[] Commands { get; }
    }
}
