using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using RedisFailover.Monitor.Options;

namespace RedisFailover.UnitTests.Documents;

/// <summary>
/// What is generated from the table of settings: the tables of docs/configuration.md and the schema of config/monitor.json.
/// </summary>
internal static class SettingDocuments
{
    private static readonly JsonSerializerOptions Indented =
        new() { WriteIndented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    internal static string Table()
        => "| setting | default | allowed | for |\n|---|---|---|---|\n" + string.Concat(Settings.All.Select(s =>
            $"| [`{s.Name}`](#{s.Name}) | {s.DefaultText} | {s.Allowed} | {s.Scope.ToString().ToLowerInvariant()} |\n"));

    internal static string Descriptions()
        => string.Join("\n\n",
            Settings.All.Select(s => $"### {s.Name}\n\n{Wrapped(s.Description)}\n\n`--{s.Name} {s.ValueName}`, `{s.Variable}`")) + "\n";

    internal static string Schema()
    {
        var properties = new JsonObject { ["$schema"] = new JsonObject { ["type"] = "string" } };
        foreach (Setting setting in Settings.All)
        {
            JsonObject schema = setting.Schema();
            schema.Insert(0, "description", $"{setting.Description} Default: {setting.DefaultText}.");
            properties[setting.Name] = schema;
        }

        return new JsonObject
        {
            ["$schema"] = "https://json-schema.org/draft/2020-12/schema",
            ["title"] = "Settings of a redis-failover monitor",
            ["type"] = "object",
            ["properties"] = properties,
            ["additionalProperties"] = false,
        }.ToJsonString(Indented) + "\n";
    }

    private static string Wrapped(string text)
    {
        List<string> lines = [""];
        foreach (string word in text.Split(' '))
        {
            if (lines[^1].Length + word.Length > 140)
            {
                lines.Add("");
            }

            lines[^1] += lines[^1].Length == 0 ? word : " " + word;
        }

        return string.Join('\n', lines);
    }
}
