using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json.Nodes;
using RedisFailover.Shared;

namespace RedisFailover.Monitor.Options;

/// <summary>The kinds of values that a setting may have: how each is read, and what is said where it cannot be.</summary>
internal static class SettingKinds
{
    internal static Setting Time(
        string name, TimeSpan? absent, (string Least, string Most) range, Func<MonitorOptions, TimeSpan, MonitorOptions> set)
    {
        (TimeSpan least, TimeSpan most) = (Duration.Parse(range.Least)!.Value, Duration.Parse(range.Most)!.Value);
        string allowed = $"{range.Least} to {range.Most}";
        return Row(name, Scope.Cluster, "time", allowed, absent is { } time ? Duration.Text(time) : null) with
        {
            Schema = () => Either(
                Integer((long)least.TotalMilliseconds, (long)most.TotalMilliseconds),
                new JsonObject { ["type"] = "string", ["pattern"] = "^[0-9.]+(ms|s|m|h)?$" }),
            Apply = (options, given) => Duration.Parse(given.Value) is { } value && value >= least && value <= most
                ? set(options, value)
                : throw given.Wrong($"{allowed}, as 500ms, 2s, 5m or 24h; a bare number is milliseconds"),
        };
    }

    internal static Setting Whole(
        string name, long absent, (long Least, long Most) range, Func<MonitorOptions, long, MonitorOptions> set, string unit = "")
    {
        string allowed = string.Create(CultureInfo.InvariantCulture, $"{range.Least} to {range.Most}{unit}");
        return Row(name, Scope.Cluster, "n", allowed, absent.ToString(CultureInfo.InvariantCulture)) with
        {
            DefaultText = string.Create(CultureInfo.InvariantCulture, $"{absent}{unit}"),
            Schema = () => Integer(range.Least, range.Most),
            Apply = (options, given) => long.TryParse(given.Value, NumberStyles.None, CultureInfo.InvariantCulture, out long number)
                && number >= range.Least && number <= range.Most
                ? set(options, number)
                : throw given.Wrong("a whole number, " + allowed),
        };
    }

    internal static Setting Choice<T>(string name, Scope scope, T absent, Func<MonitorOptions, T, MonitorOptions> set)
        where T : struct, Enum
    {
        string[] names = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];
        return Row(name, scope, "name", string.Join(", ", names), absent.ToString().ToLowerInvariant()) with
        {
            Schema = () => new JsonObject { ["enum"] = new JsonArray([.. names.Select(n => JsonValue.Create(n))]) },
            Apply = (options, given) => names.Contains(given.Value, StringComparer.OrdinalIgnoreCase)
                ? set(options, Enum.Parse<T>(given.Value, ignoreCase: true))
                : throw given.Wrong(string.Join(", ", names)),
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
