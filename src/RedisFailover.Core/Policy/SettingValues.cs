using System.Globalization;
using RedisFailover.Shared;

namespace RedisFailover;

/// <summary>What a setting may be: the monitors read it by this, and the tool refuses a wrong value by the same before it asks.</summary>
internal abstract record SettingValues
{
    /// <summary>In short, as the documents have it: "10ms to 60s".</summary>
    public abstract string Allowed { get; }

    /// <summary>As it is told to who gave something else.</summary>
    public virtual string AllowedInFull => Allowed;

    /// <summary>Whether a text is one of them.</summary>
    public abstract bool Allow(string text);
}

/// <summary>A length of time.</summary>
/// <param name="Least">The shortest, as one would give it.</param>
/// <param name="Most">The longest.</param>
internal sealed record TimeValues(string Least, string Most) : SettingValues
{
    /// <summary>The shortest.</summary>
    public TimeSpan Shortest { get; } = Duration.Parse(Least)!.Value;

    /// <summary>The longest.</summary>
    public TimeSpan Longest { get; } = Duration.Parse(Most)!.Value;

    /// <inheritdoc/>
    public override string Allowed => $"{Least} to {Most}";

    /// <inheritdoc/>
    public override string AllowedInFull => $"{Allowed}, as 500ms, 2s, 5m or 24h; a bare number is milliseconds";

    /// <inheritdoc/>
    public override bool Allow(string text) => Read(text) is not null;

    /// <summary>The time that a text means; null where it means none of these.</summary>
    public TimeSpan? Read(string text)
        => Duration.Parse(text) is { } time && time >= Shortest && time <= Longest ? time : null;
}

/// <summary>A whole number.</summary>
/// <param name="Least">The least.</param>
/// <param name="Most">The greatest.</param>
/// <param name="Unit">What is counted, with a space before it; "" for none.</param>
internal sealed record WholeValues(long Least, long Most, string Unit = "") : SettingValues
{
    /// <inheritdoc/>
    public override string Allowed => string.Create(CultureInfo.InvariantCulture, $"{Least} to {Most}{Unit}");

    /// <inheritdoc/>
    public override string AllowedInFull => $"a whole number, {Allowed}";

    /// <inheritdoc/>
    public override bool Allow(string text) => Read(text) is not null;

    /// <summary>The number that a text means; null where it means none of these.</summary>
    public long? Read(string text)
        => long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long number) && number >= Least && number <= Most
            ? number : null;
}

/// <summary>One of several names, in whichever case.</summary>
/// <typeparam name="T">Has them.</typeparam>
internal sealed record NamedValues<T> : SettingValues
    where T : struct, Enum
{
    /// <summary>In lower case.</summary>
    public IReadOnlyList<string> Names { get; } = [.. Enum.GetNames<T>().Select(n => n.ToLowerInvariant())];

    /// <inheritdoc/>
    public override string Allowed => string.Join(", ", Names);

    /// <inheritdoc/>
    public override bool Allow(string text) => Names.Contains(text, StringComparer.OrdinalIgnoreCase);
}
