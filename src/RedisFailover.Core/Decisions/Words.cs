using System.Globalization;

namespace RedisFailover;

/// <summary>Comparing sentences that are said again and again with other figures in them.</summary>
public static class Words
{
    /// <summary>Whether two texts differ in digits alone: an offset that grows is no news.</summary>
    public static bool SameButForNumbers(string? one, string? other)
        => one == other || (one is not null && other is not null && one.Where(NoDigit).SequenceEqual(other.Where(NoDigit)));

    /// <summary>"1 monitor is", "2 monitors are".</summary>
    public static string Count(int number, string one, string several) => string.Create(CultureInfo.InvariantCulture, $"{number} {(number == 1 ? one : several)}");

    private static bool NoDigit(char c) => !char.IsAsciiDigit(c);
}
