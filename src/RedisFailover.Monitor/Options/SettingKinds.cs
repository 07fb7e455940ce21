using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json.Nodes;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Options;

/// <summary>The kinds of values that a setting may have: how each is read, and what is said where it cannot be.</summary>
internal static class SettingKinds
{
    internal static Setting Time(string name, TimeSpan? absent, TimeValues values, Func<MonitorOptions, TimeSpan, MonitorOptions> set)
        => Row(name, Scope.Cluster, "time", values.Allowed, absent is { } time ? Duration.Text(time) : null) with
        {
            Schema = () => Either(
                Integer((long)values.Shortest.TotalMilliseconds, (long)values.Longest.TotalMilliseconds),
                new JsonObject { ["type"] = "string", ["pattern"] = "^[0-9.]+(ms|s|m|h)?$" }),
            Apply = (options, given) => values.Read(given.Value) is { } value
                ? set(options, value) : throw given.Wrong(values.AllowedInFull),
        };

    /// <summary>One that can be changed for all monitors: what it may be the tool knows too.</summary>
    internal static Setting Time(string name, TimeSpan? absent, Func<MonitorOptions, TimeSpan, MonitorOptions> set)
        => Time(name, absent, (TimeValues)ClusterSettings.Find(name)!, set);

    /// <summary>As <see cref="Time(string, TimeSpan?, Func{MonitorOptions, TimeSpan, MonitorOptions})"/>.</summary>
    internal static Setting Whole(string name, long absent, Func<MonitorOptions, long, MonitorOptions> set)
    {
        var values = (WholeValues)ClusterSettings.Find(name)!;
        return Row(name, Scope.Cluster, "n", values.Allowed, absent.ToString(CultureInfo.InvariantCulture)) with
        {
            DefaultText = string.Create(CultureInfo.InvariantCulture, $"{absent}{values.Unit}"),
            Schema = () => Integer(values.Least, values.Most),
            Apply = (options, given) => values.Read(given.Value) is { } number
                ? set(options, number) : throw given.Wrong(values.AllowedInFull),
        };
    }

    internal static Setting Choice<T>(string name, Scope scope, T absent, Func<MonitorOptions, T, MonitorOptions> set)
        where T : struct, Enum
    {
        var values = new NamedValues<T>();
        return Row(name, scope, "name", values.Allowed, absent.ToString().ToLowerInvariant()) with
        {
            Schema = () => new JsonObject { ["enum"] = new JsonArray([.. values.Names.Select(n => JsonValue.Create(n))]) },
            Apply = (options, given) => values.Allow(given.Value)
                ? set(options, Enum.Parse<T>(given.Value, ignoreCase: true)) : throw given.Wrong(values.AllowedInFull),
        };
    }

    internal static Setting Nodes(string name, Func<MonitorOptions, ImmutableArray<NodeAddress>, MonitorOptions> set)
        => Row(name, Scope.Cluster, "h:p,h:p", "host:port, by commas", null) with
        {
            Schema = () => Either(
                new JsonObject { ["type"] = "string" },
                new JsonObject { ["type"] = "array", ["items"] = new JsonObject { ["type"] = "string" } }),
            Apply = (options, given) => set(options, ReadNodes(given)),
        };

    /// <summary>A text; <paramref name="set"/> throws where it is not as it should be.</summary>
    internal static Setting Text(
        string name, string value, string allowed, Func<MonitorOptions, GivenOption, MonitorOptions> set, string? absent = null)
        => Row(name, Scope.Monitor, value, allowed, absent) with { Apply = set };

    private static Setting Row(string name, Scope scope, string value, string allowed, string? absent) => new()
    {
        Name = name,
        Scope = scope,
        ValueName = value,
        Allowed = allowed,
        Default = absent,
        Description = "",
        Schema = () => new JsonObject { ["type"] = "string" },
        Apply = (options, _) => options,
    };

    private static JsonObject Integer(long least, long most)
        => new() { ["type"] = "integer", ["minimum"] = least, ["maximum"] = most };

    private static JsonObject Either(params JsonNode[] kinds) => new() { ["anyOf"] = new JsonArray(kinds) };

    private static ImmutableArray<NodeAddress> ReadNodes(GivenOption given)
    {
        ImmutableArray<NodeAddress>.Builder nodes = ImmutableArray.CreateBuilder<NodeAddress>();
        foreach (string text in given.Value.Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries))
        {
            NodeAddress node = NodeAddress.TryParse(text, out NodeAddress? address)
                ? address
                : throw (given with { Value = text }).Wrong("host:port, 10.0.0.1:6379 or [::1]:6379, separated by commas");
            nodes.Add(nodes.Contains(node) ? throw (given with { Value = text }).Wrong("each node once") : node);
        }

        return nodes.Count > 0 ? nodes.ToImmutable() : throw given.Wrong("at least one host:port");
    }
}
