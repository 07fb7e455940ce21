using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace RedisFailover.Monitor.Options;

/// <summary>
/// The setting <c>clusters</c>: a list in the file, or the word <c>all</c> for those that stand in ZooKeeper. What is given beside it holds
/// for all clusters; what a cluster says itself wins over that.
/// </summary>
internal sealed class ClusterBinder(IReadOnlyDictionary<string, GivenOption> given, GivenOption clusters)
{
    internal const string Clusters = "clusters";

    /// <summary>Instead of a list: the children of <c>R/clusters</c> whose <c>config</c> names nodes.</summary>
    internal const string All = "all";

    internal const string Allowed = "all, or in the file a list of clusters";

    private const string NameKey = "name";

    private static readonly string[] OfOneCluster = ["nodes", "never-promote"];

    /// <exception cref="OptionException">A setting is missing, wrong, or does not go with another.</exception>
    internal MonitorOptions Bind()
    {
        if (OfOneCluster.Select(given.GetValueOrDefault).FirstOrDefault(o => o is not null) is { } stray)
        {
            throw stray.Wrong("nothing beside clusters, each of which has its own nodes");
        }

        Dictionary<string, GivenOption> common = given.Where(g => g.Key != Clusters).ToDictionary(StringComparer.Ordinal);
        if (clusters.Value == All)
        {
            return new OptionBinder(common).BindAll(options => DefaultId.Of(options.ZnodePath)) with { FindsClusters = true };
        }

        ImmutableArray<(string Name, Dictionary<string, GivenOption> Given)> entries = [.. Entries()];
        MonitorOptions process = new OptionBinder(common).BindAll(options => DefaultId.Of(
            [options.ZnodePath, .. entries.Select(e => e.Given.GetValueOrDefault("znode-path")?.Value).OfType<string>()]));
        ImmutableArray<MonitorOptions> all = [.. entries.Select(entry => One(process, entry.Name, entry.Given))];
        RefuseOverlaps(all);
        return process with { Clusters = all };
    }

    /// <summary>One cluster of a process, with what holds for all of them.</summary>
    /// <param name="process">What holds for all.</param>
    /// <param name="name">The cluster's name.</param>
    /// <param name="own">What it says itself; its nodes at least.</param>
    /// <exception cref="OptionException">A setting is wrong, or does not go with another.</exception>
    internal static MonitorOptions One(MonitorOptions process, string name, IReadOnlyDictionary<string, GivenOption> own)
    {
        var merged = new Dictionary<string, GivenOption>(process.Given, StringComparer.Ordinal)
        {
            ["id"] = new("id", process.Id, "the process"),
            ["znode-path"] = new("znode-path", new ZnodePaths(process.ZnodePath).Cluster(name).Root, "the cluster's name"),
        };
        if (own.ContainsKey("password") || own.ContainsKey("password-file"))
        {
            merged.Remove("password");
            merged.Remove("password-file");
        }

        foreach ((string key, GivenOption option) in own)
        {
            merged[key] = option;
        }

        return new OptionBinder(merged).Bind() with { Name = name };
    }

    /// <summary>The schema of the setting in a file.</summary>
    internal static JsonObject Schema()
    {
        var properties = new JsonObject
        {
            [NameKey] = new JsonObject { ["description"] = "The cluster's name, in logs, metrics and HTTP.", ["type"] = "string" },
        };
        foreach (Setting setting in Settings.All.Where(s => s.IsOfOneCluster))
        {
            properties[setting.Name] = setting.Schema();
        }

        var cluster = new JsonObject
        {
            ["type"] = "object",
            ["properties"] = properties,
            ["required"] = new JsonArray(NameKey, "nodes"),
            ["additionalProperties"] = false,
        };
        return new JsonObject
        {
            ["anyOf"] = new JsonArray(
                new JsonObject { ["const"] = All },
                new JsonObject { ["type"] = "array", ["items"] = cluster, ["minItems"] = 1 }),
        };
    }

    private List<(string Name, Dictionary<string, GivenOption> Given)> Entries()
    {
        using JsonDocument? document = Parse();
        if (document?.RootElement is not { ValueKind: JsonValueKind.Array } list || list.GetArrayLength() == 0)
        {
            throw Unquoted(clusters.Value, "what stands there").Wrong(
                "all (those below ZNODE-PATH/clusters whose config names nodes), or in the file a list of clusters: "
                + "[{ \"name\": \"orders\", \"nodes\": [\"10.0.0.1:6379\"] }]");
        }

        List<(string Name, Dictionary<string, GivenOption> Given)> entries = [];
        foreach (JsonElement item in list.EnumerateArray())
        {
            if (item.ValueKind != JsonValueKind.Object || !item.TryGetProperty(NameKey, out JsonElement named)
                || named.ValueKind != JsonValueKind.String)
            {
                throw Unquoted(item.GetRawText(), $"entry {entries.Count + 1}").Wrong("objects with a name and nodes");
            }

            string name = SettingTexts.Id(clusters with { Value = named.GetString()! });
            if (entries.Exists(e => e.Name == name))
            {
                throw (clusters with { Value = name }).Wrong("each name once");
            }

            entries.Add((name, Own(item, name)));
        }

        return entries;
    }

    /// <summary>What a list holds may be secret.</summary>
    private GivenOption Unquoted(string text, string place)
        => clusters with { Value = text.Contains('{', StringComparison.Ordinal) ? place : OptionSources.Shortened(text) };

    private JsonDocument? Parse()
    {
        try
        {
            return JsonDocument.Parse(clusters.Value, OptionSources.Relaxed);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private Dictionary<string, GivenOption> Own(JsonElement item, string name)
    {
        string source = $"{clusters.Source}, cluster {name}";
        var own = new Dictionary<string, GivenOption>(StringComparer.Ordinal);
        foreach (JsonProperty property in item.EnumerateObject().Where(p => p.Name != NameKey))
        {
            if (Settings.Find(property.Name) is not { IsOfOneCluster: true } setting)
            {
                throw new OptionException($"'{property.Name}' in {source} is no setting of one cluster; allowed: name, "
                    + string.Join(", ", Settings.All.Where(s => s.IsOfOneCluster).Select(s => s.Name)));
            }

            if (!own.TryAdd(setting.Name, new GivenOption(setting.Name, OptionSources.Text(property, source), source)))
            {
                throw new OptionException($"'{property.Name}' in {source}: {setting.Name} stands there twice; allowed: once");
            }
        }

        return own.ContainsKey("nodes") ? own
            : throw (clusters with { Value = name }).Wrong("clusters with nodes, as in \"nodes\": [\"10.0.0.1:6379\", \"10.0.0.2:6379\"]");
    }

    /// <summary>Two that share a path or a node would undo each other's work.</summary>
    private void RefuseOverlaps(ImmutableArray<MonitorOptions> all)
    {
        for (int i = 1; i < all.Length; i++)
        {
            if (FaultBeside(all[i], all.AsSpan(0, i)) is { } fault)
            {
                throw new OptionException($"--{Clusters} (from {clusters.Source}): {fault}");
            }
        }
    }

    /// <summary>Why a cluster cannot be monitored beside others, in one line; null where it can.</summary>
    internal static string? FaultBeside(MonitorOptions cluster, ReadOnlySpan<MonitorOptions> others)
    {
        foreach (MonitorOptions other in others)
        {
            if (cluster.ZnodePath == other.ZnodePath)
            {
                return $"'{cluster.ZnodePath}' is the znode-path of {other.Name} and of {cluster.Name}; allowed: each path once";
            }

            if (cluster.Nodes.FirstOrDefault(n => other.Nodes.Contains(n)) is { } shared)
            {
                return $"'{shared}' is a node of {other.Name} and of {cluster.Name}; allowed: each node in one cluster";
            }
        }

        return null;
    }
}
