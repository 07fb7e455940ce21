namespace RedisFailover;

/// <summary>Comparing sentences that are said again and again with other figures in them.</summary>
public static class Words
{
    /// <summary>Whether two texts differ in digits alone: an offset that grows is no news.</summary>
    public static bool SameButForNumbers(string? one, string? other)
        => one == other || (one is not null && other is not null && one.Where(NoDigit).SequenceEqual(other.Where(NoDigit)));

    private static bool NoDigit(char c) => !char.IsAsciiDigit(c);
}
